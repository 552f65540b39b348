package storetest

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/store"
)

// EachCall makes every call of the contract that takes a context and may fail, with zero arguments, and tells of each its
// name and its error: "Ping", or "Labels.Create" for a call of what another one gives. It is for stores that wrap
// another: what it tells does not go by a list, so that a new call cannot be forgotten.
func EachCall(t *testing.T, s store.Store, tell func(call string, err error)) {
	t.Helper()
	require.Positive(t, eachCall(t, reflect.TypeFor[store.Store](), reflect.ValueOf(s), "", tell))
}

func eachCall(t *testing.T, contract reflect.Type, v reflect.Value, prefix string, tell func(string, error)) (n int) {
	t.Helper()
	for m := range contract.Methods() {
		method := v.MethodByName(m.Name)
		typ := method.Type()
		switch {
		case m.Name == "Close":
		case typ.NumIn() == 0 && typ.NumOut() == 1 && typ.Out(0).Kind() == reflect.Interface:
			n += eachCall(t, typ.Out(0), method.Call(nil)[0].Elem(), prefix+m.Name+".", tell)
		case typ.NumIn() > 0 && typ.In(0) == reflect.TypeFor[context.Context]() &&
			typ.NumOut() > 0 && typ.Out(typ.NumOut()-1) == reflect.TypeFor[error]():
			args := []reflect.Value{reflect.ValueOf(t.Context())}
			for i := 1; i < typ.NumIn(); i++ {
				if !typ.IsVariadic() || i < typ.NumIn()-1 {
					args = append(args, reflect.Zero(typ.In(i)))
				}
			}
			out := method.Call(args)
			err, _ := reflect.TypeAssert[error](out[len(out)-1])
			tell(prefix+m.Name, err)
			n++
		default:
			require.Fail(t, "a call of a new shape: teach EachCall, and the interceptor if it can be waited for", prefix+m.Name)
		}
	}
	return n
}
