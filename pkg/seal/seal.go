// Package seal encrypts what is stored: AES-256-GCM under a keyset of several
// named keys, one of them primary.
package seal
