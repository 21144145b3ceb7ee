// Package bench compares this module with the plain tools that people would use instead. Figures are ratios where they
// can be, printed and never asserted:
//
//	go test -run '^$' -bench . ./bench
package bench
