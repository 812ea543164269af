// Command pulumi-sdk-nodejs writes the TypeScript SDK of a package: schema on stdin, folder as argument. It is what
// `pulumi package gen-sdk --language nodejs` asks Pulumi's language host for, which is in no registry, to do.
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

// alone loads no other package: the schema refers to none.
type alone struct{ schema.ReferenceLoader }

func main() {
	var spec schema.PackageSpec
	check(json.NewDecoder(os.Stdin).Decode(&spec))
	pkg, problems, err := schema.BindSpec(spec, alone{}, schema.ValidationOptions{})
	check(err)
	if problems.HasErrors() {
		log.Fatal(problems)
	}
	files, err := nodejs.GeneratePackage("pulumi-sdk-nodejs", pkg, nil, nil, true, alone{})
	check(err)
	for name, content := range files {
		path := filepath.Join(os.Args[1], name)
		check(os.MkdirAll(filepath.Dir(path), 0o755))
		check(os.WriteFile(path, content, 0o644))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
