// Command runctl runs training jobs on rented machines, and on this one.
//
//	go run ./examples/runctl run -p local -- python train.py
//
// It is package [runctl/examples/runctl/cli] over the providers of this module, and nothing else: a program
// with other providers has a main function just as short.
package main

import (
	"runctl/clouds"
	"runctl/examples/runctl/cli"
)

func main() { cli.Main(clouds.Registry()) }
