// Package main prints from C and from Go.
package main

// #include <stdio.h>
// static void print(void) { puts("by C"); fflush(stdout); }
import "C"

import "fmt"

func main() {
	C.print()
	fmt.Println("by Go")
}
