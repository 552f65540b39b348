package pipeline_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store/spool"
	"omniservice/store/sqlitestore"
)

// Webhooks that 64 connections hand in, each waiting until it is durable: finding the account and one write to the inbox.
// Nothing works on them.
func BenchmarkAccept(b *testing.B) {
	st, err := sqlitestore.New(b.Context(), filepath.Join(b.TempDir(), "bench.db"), sqlitestore.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, st.Close()) })
	keys, err := seal.New("k1", map[string][]byte{"k1": []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(b, err)
	reg, err := carriers.NewRegistry(&fake{})
	require.NoError(b, err)
	now := omni.MillisOf(time.Now())
	org := omni.Organisation{ID: omni.NewID(), Name: "Acme", DefaultCountry: "US", Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema}
	require.NoError(b, st.CreateOrganisation(b.Context(), org))
	account := omni.CarrierAccount{
		ID: omni.NewID(), Tenant: omni.Org(org.ID), PublicID: omni.NewToken(16), Carrier: omni.CarrierTest, Name: "Test",
		Config: map[string]string{}, Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(b, st.CreateCarrierAccount(b.Context(), account.Tenant, account))
	sp, err := spool.Open(b.TempDir(), []spool.Key{{ID: "k1", Key: make([]byte, 32)}}, spool.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, sp.Close()) })
	p, err := pipeline.New(st, reg, keys, &recorder{}, pipeline.Options{PublicURL: "https://gw.example.test", Spool: sp})
	require.NoError(b, err)

	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				a, err := p.Account(b.Context(), account.PublicID)
				if err == nil {
					err = p.Accept(b.Context(), a, carriers.WebhookRequest{Method: http.MethodPost, Header: http.Header{}, Body: make([]byte, 500)},
						carriers.Parsed{Events: []omni.CarrierChannelEvent{inbound(fmt.Sprint(i), fmt.Sprintf("+1415555%04d", i%1000), "hello")}})
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(b, sp.Stats().Appended, "the store took all")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
}
