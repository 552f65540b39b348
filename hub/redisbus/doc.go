// Package redisbus is the bus of several nodes over Redis: one server, a master that Sentinel names, or a Cluster.
//
// What Redis holds. A topic is two keys and a channel: a hash with its epoch and newest offset, a list with its history
// (the last element is the newest offset's, so an element needs no number of its own), and the channel on which its
// events go out. All three share a hash tag, so that one script can number an event, keep it and announce it in one step,
// on a Cluster as well. On a Cluster topics are spread over a fixed number of tags and announced by SPUBLISH: an event
// then travels through one node of the Cluster and not through all.
//
// Epochs. An epoch begins with the first letters of the run id of the server process that made it. Scripts compare them
// with the process that they run in: after a restart or a failover each topic gets a new epoch with the next thing that
// is asked of it. So what a replica or a disk had not got yet is never taken for what clients know, even if Redis keeps
// its data. After a flush, or when the hash is evicted, the topic is made anew, with a new epoch too. Behind the run stands
// the generation of all topics that share a tag: Renew changes it, and so all their epochs, with one key.
//
// Leases of a group are two more keys with the tag of the group's topic, so that who comes and goes is told in the step
// that makes it so. They end by the server's clock. Nothing of them need last: whoever is there renews.
//
// Calls are collected: what is asked while a batch is under way goes out with the next, as one pipeline. A server that
// does not answer is asked nothing more, except whether it is back; until then calls fail at once.
//
// Deliveries come over one connection to each server, which is read by one goroutine that never waits: workers decode,
// each its share of the topics. When the connection was cut the topics are subscribed anew, their positions read, and
// what was missed is fetched and delivered in order before anything newer. What cannot be had is told by an entry
// without a type.
package redisbus
