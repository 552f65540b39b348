package spool_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/store/spool"
)

// Durable appends of 1.5 KiB by several writers at once, each waiting for its answer.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("%dwriters", writers), func(b *testing.B) {
			s := open(b, b.TempDir(), spool.Options{})
			data := make([]byte, 1500)
			for i := range data {
				data[i] = byte(rand.Int())
			}
			var wg sync.WaitGroup
			work := make(chan struct{}, writers)
			b.SetBytes(int64(len(data)))
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for range work {
						if err := s.Append(b.Context(), data); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

// Taking out what waits, 512 at once.
func BenchmarkDrain(b *testing.B) {
	s := open(b, b.TempDir(), spool.Options{})
	data := make([]byte, 1500)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range b.N/64 + 1 {
				if err := s.Append(b.Context(), data); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.SetBytes(int64(len(data)))
	b.ResetTimer()
	for n := 0; n < b.N; {
		batch, err := s.Next(512)
		require.NoError(b, err)
		require.NotEmpty(b, batch.Records)
		require.NoError(b, s.Done(batch))
		n += len(batch.Records)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// A start with a full last segment: what a restart in an outage waits for.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := spool.Open(dir, keys, spool.Options{})
	require.NoError(b, err)
	for range 30 {
		require.NoError(b, s.Append(b.Context(), make([]byte, 1<<20)))
	}
	require.NoError(b, s.Close())
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		s, err := spool.Open(dir, keys, spool.Options{})
		require.NoError(b, err)
		b.ReportMetric(float64(time.Since(began).Microseconds()), "µs")
		require.NoError(b, s.Close())
	}
}
