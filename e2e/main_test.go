package e2e_test

import (
	"testing"

	"go.uber.org/goleak"

	"omniservice/e2e"
)

type tests struct{ *testing.M }

func (m tests) Run() int { return e2e.Main(m.M) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }
