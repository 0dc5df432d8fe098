package tokenvend_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
)

const serviceURL = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"

func Example() {
	client, err := tokenvend.New(tokenvend.Config{URL: serviceURL})
	if err != nil {
		log.Fatal(err)
	}
	crm := &http.Client{Transport: client.Transport("crm", nil)}
	response, err := crm.Get("https://crm.example/api/orders") // a revoked token is replaced
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
}

func ExampleClient_Token() {
	client, err := tokenvend.New(tokenvend.Config{URL: serviceURL})
	if err != nil {
		log.Fatal(err)
	}
	token, err := client.Token(context.Background(), "crm", tokenvend.WithMinTTL(10*time.Minute))
	var required *tokenvend.AuthorizationRequiredError
	switch {
	case errors.As(err, &required):
		fmt.Println("a user must consent first")
	case err != nil:
		log.Fatal(err)
	default:
		request, _ := http.NewRequest(http.MethodGet, "https://crm.example/api/orders", nil)
		token.SetHeader(request)
	}
}

func ExampleClient_TokenSource() {
	client, err := tokenvend.New(tokenvend.Config{URL: serviceURL})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	// The transport asks the client for each request; oauth2.NewClient would keep a token.
	_ = &http.Client{Transport: &oauth2.Transport{Source: client.TokenSource(ctx, "crm")}}
}

func ExampleClient_Warm() {
	client, err := tokenvend.New(tokenvend.Config{URL: serviceURL})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := client.Warm(ctx, "crm", "erp"); err != nil {
		log.Print(err) // the first call of each tries again
	}
}
