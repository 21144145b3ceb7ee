package runctl_test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every exported name of the packages that others import has a comment.
func TestExportedNamesHaveComments(t *testing.T) {
	for _, dir := range []string{".", "fake", "providertest", "local", "clouds"} {
		fset, files := parse(t, dir)
		packageComment := false
		for _, f := range files {
			packageComment = packageComment || f.Doc != nil
			for _, d := range f.Decls {
				for _, name := range undocumented(d) {
					t.Errorf("%s: %s has no comment", fset.Position(d.Pos()), name)
				}
			}
		}
		assert.True(t, packageComment, "package %s has no comment", dir)
	}
}

// The program at the top of the package's documentation is whole, and is the example that runs as a test.
func TestPackageCommentOpensWithTheExample(t *testing.T) {
	_, files := parse(t, ".")
	var doc string
	for _, f := range files {
		if f.Doc != nil {
			doc = f.Doc.Text()
		}
	}
	_, after, ok := strings.Cut(doc, "\n\n")
	require.True(t, ok)
	require.True(t, strings.HasPrefix(after, "\tpackage main\n"), "the program follows the first sentence")
	var program strings.Builder
	for line := range strings.Lines(after) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "\t") {
			break
		}
		program.WriteString(strings.TrimPrefix(line, "\t"))
	}
	fset := token.NewFileSet()
	shown, err := parser.ParseFile(fset, "program.go", program.String(), parser.ParseComments)
	require.NoError(t, err)
	tests, err := parser.ParseFile(fset, "example_test.go", nil, parser.ParseComments)
	require.NoError(t, err)
	assert.Equal(t, body(t, fset, tests, "Example"), body(t, fset, shown, "main"))
	for _, i := range shown.Imports {
		assert.Contains(t, program.String(), strings.Trim(i.Path.Value[strings.LastIndex(i.Path.Value, "/")+1:], `"`)+".", "unused import")
	}
}

// body prints a function's body without its comments.
func body(t *testing.T, fset *token.FileSet, f *ast.File, name string) string {
	t.Helper()
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name {
			var b bytes.Buffer
			require.NoError(t, format.Node(&b, fset, fn.Body))
			return strings.TrimRight(b.String(), "\n}") // an Output comment leaves an empty line
		}
	}
	require.Fail(t, "no function "+name)
	return ""
}

func parse(t *testing.T, dir string) (*token.FileSet, []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, f)
	}
	require.NotEmpty(t, files)
	return fset, files
}

// undocumented names what a declaration exports without a comment. A group of constants or variables may
// share one, and one at the line's end counts.
func undocumented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Name.Name)
				}
				if i, ok := s.Type.(*ast.InterfaceType); ok && s.Name.IsExported() {
					for _, m := range i.Methods.List {
						if m.Doc == nil && m.Comment == nil && len(m.Names) > 0 {
							names = append(names, s.Name.Name+"."+m.Names[0].Name)
						}
					}
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// exportedReceiver reports whether a method can be seen: it belongs to an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}
