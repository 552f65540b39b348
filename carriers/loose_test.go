package carriers_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

func TestScalarAndStrings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"a"`: "a", `14155550123`: "14155550123", `true`: "true", `null`: "", `{"a":1}`: "", `["a"]`: "", `"\ud83d\ude00"`: "😀", `""`: "", `"é"`: "é",
		"\"\xff\"": "\ufffd",
	} {
		var s carriers.Scalar
		require.NoError(t, json.Unmarshal([]byte(in), &s), in)
		require.Equal(t, want, string(s), in)
	}
	for in, want := range map[string]carriers.Strings{
		`["a","b"]`: {"a", "b"}, `"a"`: {"a"}, `14155550123`: {"14155550123"}, `[14155550123,"2"]`: {"14155550123", "2"},
		`null`: nil, `[]`: nil, `[null,"",{}]`: nil, `{}`: nil, `""`: nil,
	} {
		l := carriers.Strings{"before"}
		require.NoError(t, l.UnmarshalJSON([]byte(in)), in)
		require.Equal(t, want, l, in)
	}
	var l carriers.Strings
	require.NoError(t, json.Unmarshal([]byte("["+strings.Repeat("1,", 999)+"1]"), &l))
	require.Len(t, l, 1000)
	require.Error(t, json.Unmarshal([]byte("["+strings.Repeat("1,", 1000)+"1]"), &l))
	require.Error(t, json.Unmarshal([]byte(`["a`), &l))
	require.NoError(t, json.Unmarshal([]byte(`[ "a,]" , "\\\"[" ,{"x":["y"]}, 7 ]`), &l))
	require.Equal(t, carriers.Strings{"a,]", `\"[`, "7"}, l)
}

func TestEachObject(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		` {"a":[1,2]} `: {`{"a":[1,2]}`}, `[]`: nil, " [\n] ": nil, "\xef\xbb\xbf {}": {`{}`}, `[{"a":"]"} , {}]`: {`{"a":"]"}`, `{}`}, `[1,[2,3],"\",[\\"]`: {`1`, `[2,3]`, `"\",[\\"`},
	} {
		var got []string
		require.NoError(t, carriers.EachObject([]byte(body), func(entry []byte) error {
			got = append(got, string(entry))
			return nil
		}), body)
		require.Equal(t, want, got, body)
	}
	for _, body := range []string{
		"", " ", "null", "1", `"a"`, "[1,]", "[,1]", "[1 2]", "[1]]", "{}{}", "[1", "\xef\xbb\xbf", "\xef\xbb{}", "{}\xef\xbb\xbf", "\xef\xbb\xbf\xef\xbb\xbf{}", strings.Repeat("[", 33) + strings.Repeat("]", 33),
		"[" + strings.Repeat("1,", carriers.MaxEvents) + "1]",
	} {
		err := carriers.EachObject([]byte(body), func([]byte) error { return nil })
		require.ErrorIs(t, err, omni.ErrInvalid, body)
		require.ErrorContains(t, err, carriers.MalformedBody, body)
	}
	require.ErrorIs(t, carriers.EachObject([]byte(`[1,2]`), func([]byte) error { return omni.ErrConflict }), omni.ErrConflict)
}

func TestFilesAt(t *testing.T) {
	t.Parallel()
	got := carriers.FilesAt(omni.CarrierBandwidth, []string{
		"https://x.test/0/photo%20one.JPG?a=b.mp3", " https://x.test/1/0.smil", "", "https://x.test/note.m4a#x", "https://x.test/a%2Fb.mp4", "https://x.test/",
		"https://x.test/1/0.SMIL?x=1",
	})
	require.Len(t, got, 4)
	for i, want := range []struct {
		name string
		kind omni.MediaType
	}{{"photo one.JPG", omni.MediaImage}, {"note.m4a", omni.MediaAudio}, {"b.mp4", omni.MediaVideo}, {"x.test", omni.MediaDocument}} {
		require.Equal(t, want.name, got[i].FileName)
		require.Equal(t, want.kind, got[i].Type)
		require.Empty(t, got[i].ContentType)
		require.NoError(t, got[i].Validate())
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	of := func(of string) (all []string) {
		for e := range carriers.Elements([]byte(of)) {
			all = append(all, string(e))
		}
		return all
	}
	require.Empty(t, of(""))
	require.Empty(t, of("[]"))
	require.Empty(t, of("{ }"))
	require.Equal(t, []string{"1", `"a,]\"b"`, `[2,[3]]`, `{"c":"}"}`, "null"}, of(`[ 1 ,"a,]\"b",[2,[3]], {"c":"}"} ,null]`))
	require.Equal(t, []string{`"a": [1,2]`, `"b":{}`}, of(`{"a": [1,2], "b":{}}`))
	for range carriers.Elements([]byte(`[1,2,3]`)) {
		break // nothing panics when it is left early
	}
}
