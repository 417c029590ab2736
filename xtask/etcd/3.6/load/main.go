// Load fills a cluster for `cargo xtask bench`: so many keys, each with a value of so many bytes of text.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The most that a server takes in one transaction, and enough writers to keep it busy.
const (
	batch   = 128
	writers = 16
)

func main() {
	var tls transport.TLSInfo
	endpoint := flag.String("endpoint", "https://127.0.0.1:2379", "where the cluster is")
	flag.StringVar(&tls.TrustedCAFile, "cacert", "", "the authority's certificate")
	flag.StringVar(&tls.CertFile, "cert", "", "the client's certificate")
	flag.StringVar(&tls.KeyFile, "key", "", "the client's key")
	keys := flag.Int("keys", 1_000_000, "how many keys")
	size := flag.Int("size", 500, "how many bytes each value has")
	flag.Parse()
	if err := load(*endpoint, tls, *keys, *size); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func load(endpoint string, tls transport.TLSInfo, keys, size int) error {
	config, err := tls.ClientConfig()
	if err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: config})
	if err != nil {
		return err
	}
	defer client.Close()
	starts := make(chan int)
	failures := make(chan error, writers)
	var busy sync.WaitGroup
	for range writers {
		busy.Go(func() {
			for start := range starts {
				if err := write(client, start, min(start+batch, keys), size); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	for start := 0; start < keys; start += batch {
		select {
		case starts <- start:
		case err := <-failures:
			return err
		}
	}
	close(starts)
	busy.Wait()
	close(failures)
	return <-failures
}

// Write puts the keys from start up to end in one transaction.
func write(client *clientv3.Client, start, end, size int) error {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-/.: "
	random := rand.New(rand.NewPCG(uint64(start), 0))
	value := make([]byte, size)
	puts := make([]clientv3.Op, 0, end-start)
	for key := start; key < end; key++ {
		for at := range value {
			value[at] = letters[random.IntN(len(letters))]
		}
		puts = append(puts, clientv3.OpPut(fmt.Sprintf("bench/%09d", key), string(value)))
	}
	_, err := client.Txn(context.Background()).Then(puts...).Commit()
	return err
}
