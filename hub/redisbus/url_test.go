package redisbus

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]target{
		"redis://localhost":                                {addrs: []string{"localhost:6379"}},
		"redis://10.0.0.1:7000/2":                          {addrs: []string{"10.0.0.1:7000"}, db: 2, prefix: "omni.2"},
		"redis://:p%40ss%2F@h:1/0":                         {addrs: []string{"h:1"}, password: "p@ss/"},
		"redis://user:pass@[::1]:6380":                     {addrs: []string{"[::1]:6380"}, username: "user", password: "pass"},
		"redis://[::1]":                                    {addrs: []string{"[::1]:6379"}},
		"redis://h?db=3&prefix=staging":                    {addrs: []string{"h:6379"}, db: 3, prefix: "staging.3"},
		"unix:///run/redis.sock":                           {network: "unix", addrs: []string{"/run/redis.sock"}},
		"unix:///run/redis.sock?db=1":                      {network: "unix", addrs: []string{"/run/redis.sock"}, db: 1, prefix: "omni.1"},
		"redis+cluster://a,b:7001,c":                       {kind: cluster, addrs: []string{"a:6379", "b:7001", "c:6379"}},
		"redis+cluster://u:p@a:1,b:2/?prefix=x":            {kind: cluster, addrs: []string{"a:1", "b:2"}, username: "u", password: "p", prefix: "x"},
		"redis+sentinel://s1,s2:26380/1?master=chat":       {kind: sentinel, addrs: []string{"s1:26379", "s2:26380"}, db: 1, master: "chat", prefix: "omni.1"},
		"redis+sentinel://s?master=m&sentinel_password=sp": {kind: sentinel, addrs: []string{"s:26379"}, master: "m", sentinelPassword: "sp"},
	} {
		if want.network == "" {
			want.network = "tcp"
		}
		if want.prefix == "" {
			want.prefix = "omni"
		}
		got, err := parseURL(url)
		require.NoError(t, err, url)
		require.Equal(t, want, got, url)
		require.NoError(t, CheckURL(url))
	}
	for _, url := range []string{"rediss://h", "rediss+cluster://a,b", "rediss+sentinel://a?master=m&server_name=x"} {
		got, err := parseURL(url)
		require.NoError(t, err, url)
		require.NotNil(t, got.tls, url)
	}
}

func TestBadURL(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, url := range []string{
		"", "localhost:6379", "http://h", "redis:h", "redis://", "redis+sentinel://s", "redis://h?master=m", "redis://a,b",
		"redis+cluster://a/1", "redis://h/x", "redis://h/-1", "redis://h:port", "redis://h?what=1", "redis://h#x", "unix://h/x", "unix://",
		"redis://h?ca=/x", "rediss://h?ca=/does/not/exist", "rediss://h?cert=/does/not/exist", "redis://h?prefix={x}", "redis+cluster://a,,b", "redis://a:b:c",
		"redis://:" + secret + "%zz@h", "redis://u:" + secret + "@h:x", "redis://:" + secret + "/@h",
	} {
		err := CheckURL(url)
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), secret)
		_, err = New(url, Options{})
		require.Error(t, err, url)
	}
	_, err := New("redis://h", Options{Age: -1})
	require.ErrorIs(t, err, omni.ErrInvalid)
	_, err = New("redis://h", Options{Prefix: "a{b"})
	require.ErrorIs(t, err, omni.ErrInvalid)
	_, err = New("redis://h", Options{Age: 1000, Idle: 10})
	require.ErrorIs(t, err, omni.ErrInvalid)
}
