// Package hydra holds the version of Ory Hydra that the interop tests build, in
// its go.mod, and the configuration that they run it with, in hydra.yml. It is a
// module of its own: Hydra links several hundred packages.
package hydra
