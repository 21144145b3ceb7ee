// Command runctl-acme is the runctl command with Acme beside the clouds that it has anyway.
package main

import (
	"example.com/acme"
	"runctl/clouds"
	"runctl/examples/runctl/cli"
)

func main() {
	registry := clouds.Registry()
	registry.Register(acme.Factory)
	cli.Main(registry)
}
