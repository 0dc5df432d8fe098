// Package egresstest is a name server for tests: names that resolve to private
// networks, that change their address, or that do not exist. It opens no socket.
package egresstest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
)

// Resolver returns a resolver that calls lookup for each name's addresses, once
// for IPv4 and once for IPv6. The name is in lower case, without its last dot. No
// address at all means that the name does not exist.
func Resolver(lookup func(name string) []netip.Addr) *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			server, client := net.Pipe()
			go serve(server, lookup)
			return client, nil
		},
	}
}

// serve answers the queries on one connection, each preceded by its length as over
// TCP (RFC 1035 §4.2.2).
func serve(conn net.Conn, lookup func(name string) []netip.Addr) {
	defer conn.Close()
	for {
		var size uint16
		if binary.Read(conn, binary.BigEndian, &size) != nil {
			return
		}
		query := make([]byte, size)
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer := reply(query, lookup)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// reply builds the response to a query with one question (RFC 1035 §4.1).
func reply(query []byte, lookup func(name string) []netip.Addr) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	name, end := question(query[header:])
	asked := binary.BigEndian.Uint16(query[header+end-4:])
	addrs := lookup(name)

	var records []byte
	var count uint16
	for _, addr := range addrs {
		kind := uint16(typeA)
		if addr.Is6() {
			kind = typeAAAA
		}
		if kind != asked {
			continue
		}
		count++
		records = append(records, 0xc0, header) // a pointer to the name in the question
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 0) // class IN, no caching
		records = binary.BigEndian.AppendUint16(records, uint16(addr.BitLen()/8))
		records = append(records, addr.AsSlice()...)
	}

	flags := uint16(0x8180) // a response, recursion done
	if len(addrs) == 0 {
		flags |= 3 // NXDOMAIN
	}
	out := binary.BigEndian.AppendUint16(bytes.Clone(query[:2]), flags)
	out = binary.BigEndian.AppendUint16(out, 1)
	out = binary.BigEndian.AppendUint16(out, count)
	out = append(out, 0, 0, 0, 0)
	out = append(out, query[header:header+end]...)
	return append(out, records...)
}

// question parses the name of a question and the length of the question.
func question(text []byte) (name string, length int) {
	var labels [][]byte
	for text[length] != 0 {
		next := length + 1 + int(text[length])
		labels = append(labels, text[length+1:next])
		length = next
	}
	return string(bytes.ToLower(bytes.Join(labels, []byte(".")))), length + 1 + 4
}
