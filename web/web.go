// Package web holds the built web programs: the agents' console and the visitors' widget.
//
// A checkout has only a placeholder in dist, so that Go code compiles and tests run before the web programs are
// built. Built tells the two apart.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Console returns the files of the console: index.html, and below console-assets/ files whose names change with their
// content. Beside a file there may be the same one compressed, with .br or .gz added to its name. It is empty unless Built.
func Console() fs.FS { return sub("dist/console") }

// Widget returns the files of the LiveChat widget, compressed ones beside them as in Console. It is empty unless Built.
func Widget() fs.FS { return sub("dist/widget") }

// Demo returns the demo website and the simulator: index.html, simulator.html and, below assets/, files whose names
// change with their content. It is empty unless Built.
func Demo() fs.FS { return sub("dist/demo") }

// Built reports whether the web programs were built into this binary.
func Built() bool {
	_, err := fs.Stat(dist, "dist/console/index.html")
	return err == nil
}

// sub never fails: the names are constant and valid, and a missing directory shows when a file of it is opened.
func sub(dir string) fs.FS {
	f, err := fs.Sub(dist, dir)
	if err != nil {
		panic(err)
	}
	return f
}
