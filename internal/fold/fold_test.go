package fold

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestText_MCP_51(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", ""},
		{"plain/text?a=1", "plain/text?a=1"},
		{"ABC", "abc"},
		{"\u212a\u017f\u0130\u0131", "ksii"}, // Kelvin, long s, both i of Turkish
		{"\u03a3\u03c3\u03c2", "\u03c3\u03c3\u03c3"},
		{"e\u0301\u00e9\u00c9", "eee"},
		{"\u1f80\u03ac\u03b1\u0301", "\u03b1\u03b1\u03b1"},
		{"\u0439\u0418\u0306", "\u0438\u0438"},
		{"\u304c\u304b\u3099\uff76\uff9e", "\u30ab\u30ab\u30ab"},
		{"\u3041\u3042\u30a1\u30a2\uff67\uff71", "\u30a2\u30a2\u30a2\u30a2\u30a2\u30a2"}, // a, small and full
		{"\u3063\u30c3\uff6f\u3064\u3095\u31f0\u31ff\u309e", "\u30c4\u30c4\u30c4\u30c4\u30ab\u30af\u30ed\u30fd"},
		{"\u0661\u06f2\u0967\uff13\U0001d7d7\U0001e951", "121391"},
		{"\ud55c\u1112\u1161\u11ab", "\u1112\u1161\u11ab\u1112\u1161\u11ab"},
		{"\ufa19\u795e", "\u795e\u795e"},
		{"\ufb01\u00df\u1e9e\u00e6\u338f", "fissssaekg"},
		{"\uff33\uff0f\uff05\uff12\uff25\U0001d4b6", "s/%2ea"},
		{"a\u200b\u00ad\ufeff\x00\tb\ufe0f\u3164", "ab"},
		{"a\xc0\xafb\xe0\x80\xafc\xf0\x80\x80\xafd", "a/b/c/d"},
		{"\xe9\xff\xc0x", "ey" + "ax"},
		{"a\xc0\xaf", "a/"}, {"\xc0", "a"}, {"\xe0\x80", "a"}, {"a\ufffd", "a\ufffd"},
		{"a\tb", "ab"}, {"a\x7fb", "ab"},
		{"\uac00\ud7a3\ud7a4\uabff", "\u1100\u1161\u1112\u1175\u11c2\ud7a4\uabff"}, // the first, the last, and their neighbours
		{"\u3041\u3096\u3040\u3097", "\u30a2\u30b1\u3040\u3097"},
		{"\u4f60\u597d\u0928\u093f", "\u4f60\u597d\u0928\u093f"[:6] + "\u0928\u093f"},
	} {
		assert.Equal(t, row.want, Text(row.text), "%+q", row.text)
		assert.Equal(t, Text(row.text), Text(Text(row.text)), "%+q", row.text)
	}
}

// What is left of a rune is left of it for good, and every rune is folded in
// upper and lower case alike.
func TestTable_MCP_51(t *testing.T) {
	require.Greater(t, len(folds()), 5_800)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if left := Text(string(r)); left != Text(left) {
			require.Fail(t, "it is not folded for good", "%U", r)
		}
		if unicode.IsDigit(r) {
			first := r
			for unicode.IsDigit(first - 1) {
				first--
			}
			require.Equal(t, first, zero(r), "%U", r)
		}
		if !unicode.IsGraphic(r) || r == 0x345 {
			continue
		}
		left := Text(string(r))
		require.Equal(t, left, Text(left), "%U", r)
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if other != 0x345 { // the iota below a letter is a mark
				require.Equal(t, left, Text(string(other)), "%U and %U", r, other)
			}
		}
	}
}

func TestHost_MCP_51(t *testing.T) {
	for _, row := range []struct{ host, want string }{
		{"x.example", "x.example"},
		{"xn--bcher-kva.example", "bucher.example"},
		{"xn--mnchen-3ya.xn--p1ai", "munchen.\u0440\u0444"},
		{"xn--fiqs8s", "\u4e2d\u56fd"},
		{"xn--", ""},
		{"xn--\ue001", "\ue001"},
		{"xn--99999999999999999999", "99999999999999999999"},
		{"xn--a-a-a", "a-a"},
		{"xn--a-z", "a-z"},                                                      // ends in the middle
		{"xn--dn32g.xn--en32g.xn--99999b", "\U0010ffff.en32g.99999b"},           // the last rune, and what is beyond
		{"xn--" + strings.Repeat("9", 18) + "a", strings.Repeat("9", 18) + "a"}, // more than 64 bits
		{"xn--" + strings.Repeat("9", 251), strings.Repeat("9", 251)},
		{"xn--" + strings.Repeat("9", 252), "xn--" + strings.Repeat("9", 252)}, // no host has such labels
	} {
		assert.Equal(t, row.want, Host(row.host), row.host)
	}
}

// TestPunycode_MCP_51: the samples of RFC 3492 section 7.1, those in small letters, and what is written in another way if one of its
// parameters is another.
func TestPunycode_MCP_51(t *testing.T) {
	for encoded, want := range map[string]string{
		"egbpdaj6bu4bxfgehfvwxn":                        "ليهمابتكلموشعربي؟",
		"ihqwcrb4cv8a8dqg056pqjye":                      "他们为什么不说中文",
		"Proprostnemluvesky-uyb24dma41a":                "Pročprostěnemluvíčesky",
		"4dbcagdahymbxekheh6e0a7fei0b":                  "למההםפשוטלאמדבריםעברית",
		"n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa":        "なぜみんな日本語を話してくれないのか",
		"PorqunopuedensimplementehablarenEspaol-fmd56a": "PorquénopuedensimplementehablarenEspañol",
		"TisaohkhngthchnitingVit-kjcr8268qyxafd2f1b9g":  "TạisaohọkhôngthểchỉnóitiếngViệt",
		"3B-ww4c5e180e575a65lsy2b":                      "3年B組金八先生",
		"-with-SUPER-MONKEYS-pc58ag80a8qai00g7n9n":      "安室奈美恵-with-SUPER-MONKEYS",
		"Hello-Another-Way--fc4qua05auwb3674vfr0b":      "Hello-Another-Way-それぞれの場所",
		"2-u9tlzr9756bt3uc0v":                           "ひとつ屋根の下2",
		"MajiKoi5-783gue6qz075azm5e":                    "MajiでKoiする5秒前",
		"de-jg4avhby1noc0d":                             "パフィーdeルンバ",
		"d9juau41awczczp":                               "そのスピードで",
		"ffry5h":                                        "\u528d\u56f0",
		"abc-d91se1v":                                   "abc\uf954\uff71",
	} {
		assert.Equal(t, want, punycode(encoded), encoded)
	}
}

// TestPlain_MCP_51: most texts have nothing to be folded, and cost nothing.
func TestPlain_MCP_51(t *testing.T) {
	const plain = "a z/0 9~[@.example"
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		if Text(plain) != plain || Host(plain) != plain {
			t.Error(plain)
		}
	}))
}
