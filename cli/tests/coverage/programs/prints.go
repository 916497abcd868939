// Package main prints by what Go has for it, and panics.
package main

import (
	"fmt"
	"log"
	"os"
)

func main() {
	fmt.Println("Println", 1)
	fmt.Fprintln(os.Stderr, "Fprintln", 2)
	log.Print("log")
	println("println")
	os.Stdout.WriteString("WriteString\n")
	for i := 0; i < 300; i++ {
		fmt.Println("line", i)
	}
	panic("panic")
}
