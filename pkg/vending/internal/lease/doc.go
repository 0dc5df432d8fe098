// Package lease makes the whole fleet share one refresh of a token.
//
// The holder of an item's lease asks the provider and stores the result. Every
// other process waits for that result, or serves the current token while it is
// still usable. Three fences keep a late holder from doing harm: a token is
// stored only over the version that was read under the lease, a grant only while
// the refresh token that was used is still the stored one, and the mark that a
// refresh token is being used is written with the lease, before anything is sent.
// No token is served before the grant that came with it is stored.
//
// What differs between client_credentials, refresh_token and a new consent is
// behind one interface (source); the order of the steps is the same for all.
package lease
