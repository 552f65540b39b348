package redisbus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/internal/testenv"
	"omniservice/omni"
)

// TLS, with a certificate authority and a certificate of one's own, and a user with a password.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificates(t, dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	tls := testenv.NewRedis(t).Port() // its own port speaks without
	r := testenv.StartRedis(t, "--tls-port", tls, "--tls-cert-file", file("server.crt"), "--tls-key-file", file("server.key"), "--tls-ca-cert-file", file("ca.crt"),
		"--user", "gateway", "on", ">s3cret/?", "~*", "&*", "+@all")
	require.NotEqual(t, tls, r.Port())
	url := "rediss://gateway:s3cret%2F%3F@localhost:" + tls
	good := url + "?ca=" + file("ca.crt") + "&cert=" + file("client.crt") + "&key=" + file("client.key")
	n := startNode(t, good, quick())
	n.follow("t/1")
	n.publish("t/1", 2)
	n.await("t/1", 2)

	for name, bad := range map[string]string{
		"an authority that we do not know": url + "?cert=" + file("client.crt") + "&key=" + file("client.key"),
		"no certificate of ours":           url + "?ca=" + file("ca.crt"),
		"another name":                     good + "&server_name=redis.example.com",
		"a wrong password":                 strings.Replace(good, "s3cret", "guess", 1),
		"no TLS":                           "redis://gateway:s3cret%2F%3F@localhost:" + tls,
	} {
		_, err := startNode(t, bad, quick()).Publish(t.Context(), "t/1", event(1))
		require.ErrorIs(t, err, omni.ErrUnavailable, name)
		require.NotContains(t, err.Error(), "s3cret", name)
	}
}

// certificates writes an authority and two certificates of it, one for localhost and one for a client.
func certificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	require.NoError(t, err)
	write("ca.crt", "CERTIFICATE", der)
	for i, name := range []string{"server", "client"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, authority, key.Public(), caKey)
		require.NoError(t, err)
		write(name+".crt", "CERTIFICATE", der)
		der, err = x509.MarshalECPrivateKey(key)
		require.NoError(t, err)
		write(name+".key", "EC PRIVATE KEY", der)
	}
}

// R11: the master dies, Sentinel makes another. Its epochs are others, and the node goes on there.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := testenv.StartRedis(t)
	replica := testenv.StartRedis(t, "--replicaof", "127.0.0.1", master.Port())
	watch := testenv.NewRedis(t)
	conf := filepath.Join(watch.Dir, "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `port %s
bind 127.0.0.1
dir %s
logfile redis.log
sentinel monitor chat 127.0.0.1 %s 1
sentinel down-after-milliseconds chat 400
sentinel failover-timeout chat 2000
`, watch.Port(), watch.Dir, master.Port()), 0o600))
	watch.StartWith(conf, "--sentinel")
	testenv.Await(t, "a replica in step", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
	testenv.Await(t, "Sentinel to know the replica", func() bool {
		return strings.Contains(watch.Do("INFO", "sentinel"), "slaves=1")
	})

	o := quick()
	n := startNode(t, "redis+sentinel://"+watch.Addr+"?master=chat", o)
	n.follow("t/1")
	before := n.publish("t/1", 5)
	n.await("t/1", 5)
	testenv.Await(t, "the replica to have it", func() bool { // so that only the other process tells it from the old history
		return strings.HasPrefix(replica.Do("EXISTS", o.Prefix+"{0}t:t/1"), ":1")
	})
	master.Kill()
	testenv.Await(t, "another master", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "role:master")
	})
	took := n.back("t/1")
	t.Logf("back %v after there was another master", took)
	require.Less(t, took, soon)
	n.awaitEpoch("t/1", before.Epoch)
	now := n.publish("t/1", 1)
	require.NotEqual(t, before.Epoch, now.Epoch)
	testenv.Await(t, "deliveries of the new master", func() bool {
		es := n.seen("t/1")
		return es[len(es)-1].Epoch == now.Epoch && es[len(es)-1].Offset == now.Offset
	})
}

// Topics are spread over all servers of a Cluster, and each event goes through one of them.
func TestClusterShards(t *testing.T) {
	t.Parallel()
	servers := testenv.StartRedisCluster(t, 3)
	o := quick()
	n := startNode(t, "redis+cluster://"+servers[0].Addr+","+servers[1].Addr, o)
	const topics = 300
	for i := range topics {
		topic := fmt.Sprintf("t/%d", i)
		n.follow(topic)
		n.publish(topic, 2)
	}
	for i := range topics {
		n.await(fmt.Sprintf("t/%d", i), 2)
	}
	for i, r := range servers {
		var channels int
		_, err := fmt.Sscanf(r.Do("PUBSUB", "SHARDCHANNELS"), "*%d", &channels)
		require.NoError(t, err)
		t.Logf("server %d: %d channels", i, channels)
		require.Greater(t, channels, topics/6)
		require.Contains(t, r.Do("INFO", "commandstats"), "cmdstat_spublish:")
		require.NotContains(t, r.Do("INFO", "commandstats"), "cmdstat_publish:")
	}
}

// A slot moves to another server while its topics are followed and published to.
func TestClusterSlotMoves(t *testing.T) {
	t.Parallel()
	servers := testenv.StartRedisCluster(t, 3)
	o := quick()
	o.Partitions = 1 // one slot holds everything
	n := startNode(t, "redis+cluster://"+servers[0].Addr, o)
	n.follow("t/1", "t/2")
	before := n.publish("t/1", 3)
	n.await("t/1", 3)
	slot := strings.TrimPrefix(servers[0].Do("CLUSTER", "KEYSLOT", o.Prefix+"{0}"), ":")
	var from, to *testenv.Redis
	for _, r := range servers {
		if r.Do("CLUSTER", "COUNTKEYSINSLOT", slot) != ":0" {
			from = r
		} else {
			to = r
		}
	}
	require.NotNil(t, from)
	fromID, toID := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
	require.Equal(t, "+OK", to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", fromID))
	require.Equal(t, "+OK", from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", toID))
	for _, key := range from.All("CLUSTER", "GETKEYSINSLOT", slot, "1000") {
		require.Equal(t, "+OK", from.Do("MIGRATE", "127.0.0.1", to.Port(), key, "0", "5000"))
	}
	for _, r := range []*testenv.Redis{to, from, servers[0], servers[1], servers[2]} {
		require.Equal(t, "+OK", r.Do("CLUSTER", "SETSLOT", slot, "NODE", toID))
	}
	require.Less(t, n.back("t/1"), soon)
	// Another process has the history now. That it is whole nobody can know: the epoch changes.
	told := n.awaitLoss("t/2")
	require.NotEqual(t, before.Epoch, told.Epoch)
	now := n.publish("t/1", 1)
	testenv.Await(t, "deliveries from there", func() bool {
		es := n.seen("t/1")
		return es[len(es)-1].Epoch == now.Epoch && es[len(es)-1].Offset == now.Offset
	})
}

// R11: a server of a Cluster dies and its replica takes over. The topics of the others do not notice.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	servers := testenv.StartRedisCluster(t, 3)
	replica := testenv.StartRedisNode(t)
	replica.Meet(servers[0])
	id := servers[0].Do("CLUSTER", "MYID")
	testenv.Await(t, "the replica to know its master", func() bool { return replica.Do("CLUSTER", "REPLICATE", id) == "+OK" })
	testenv.Await(t, "a replica in step", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
	for _, r := range servers {
		testenv.Await(t, "all to know the replica", func() bool { return strings.Contains(r.Do("CLUSTER", "NODES"), "slave "+id) })
	}
	o := quick()
	n := startNode(t, "redis+cluster://"+servers[1].Addr, o)
	var dead, alive string
	for i := 0; dead == "" || alive == ""; i++ {
		topic := fmt.Sprintf("t/%d", i)
		n.follow(topic)
		n.publish(topic, 3)
		n.await(topic, 3)
		if strings.Contains(strings.Join(servers[0].All("PUBSUB", "SHARDCHANNELS"), " ")+" ", "c:"+topic+" ") {
			dead = topic
		} else {
			alive = topic
		}
	}
	servers[0].Kill()
	n.publish(alive, 3)
	n.await(alive, 6)
	testenv.Await(t, "the replica to take over", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "role:master") && strings.Contains(replica.Do("CLUSTER", "INFO"), "cluster_state:ok")
	})
	took := n.back(dead)
	t.Logf("back %v after the replica took over", took)
	require.Less(t, took, 2*soon)
	n.awaitEpoch(dead, n.seen(dead)[0].Epoch)
	now := n.publish(dead, 1)
	testenv.Await(t, "deliveries from there", func() bool {
		es := n.seen(dead)
		return es[len(es)-1].Epoch == now.Epoch && es[len(es)-1].Offset == now.Offset
	})
	n.publish(alive, 1)
	n.await(alive, 7)
}
