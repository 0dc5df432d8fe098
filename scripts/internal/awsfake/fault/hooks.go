package fault

import (
	"math/rand/v2"
	"net/http"
	"sync"
)

// Decisions that many tests make.
var (
	// Cut ends the connection: before the service sees the request at Arrived,
	// after it has carried the request out at Done.
	Cut = Decision{Cut: true}
	// Throttled is DynamoDB's answer to too many requests.
	Throttled = Decision{Status: http.StatusBadRequest, Code: "ProvisionedThroughputExceededException"}
	// Broken is a service's answer to its own failure.
	Broken = Decision{Status: http.StatusInternalServerError, Code: "InternalServerError"}
)

// Always decides the same about every call.
func Always(d Decision) Hook { return func(Call) Decision { return d } }

// Share decides so about that share of the calls, from 0 to 1, which the seed
// chooses. Other calls pass.
func Share(share float64, seed uint64, d Decision) Hook {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(Call) Decision {
		mu.Lock()
		defer mu.Unlock()
		if random.Float64() < share {
			return d
		}
		return Decision{}
	}
}
