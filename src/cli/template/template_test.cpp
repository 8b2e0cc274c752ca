#include "cli/template/template.h"

#include <gtest/gtest.h>

namespace estiba::cli {
namespace {

// What a template makes of JSON, or its error.
std::string made(std::string_view text, std::string_view data = "{}", const TemplateOptions& options = {}) {
  auto parsed = Template::parse(text);
  if (!parsed) return "parse: " + parsed.error().message;
  auto document = json::Document::parse(data);
  EXPECT_TRUE(document) << data;
  std::string out;
  auto done = parsed->execute(document->root(), out, options);
  return done ? out : "execute: " + done.error().message;
}

TEST(Template, TextAndFields) {
  EXPECT_EQ(made("plain"), "plain");
  EXPECT_EQ(made("{{.Name}}-{{ .State.Running }}", R"({"Name":"web","State":{"Running":true}})"), "web-true");
  EXPECT_EQ(made("{{.}}", R"({"b":[1,"x"],"a":null})"), "map[a:[] b:[1 x]]");
  EXPECT_EQ(made("{{.n}} {{.f}} {{.big}}", R"({"n":7,"f":1.50,"big":9007199254740993})"), "7 1.50 9007199254740993");
}

TEST(Template, Trims) {
  EXPECT_EQ(made("a  {{- 1 -}}  b"), "a1b");
  EXPECT_EQ(made("a {{/* nothing */}} b"), "a  b");
  EXPECT_EQ(made("a {{- /* nothing */ -}} b"), "ab");
  EXPECT_EQ(made("{{-1}}"), "-1");
}

TEST(Template, FieldsMatchWithoutCaseWhenThereIsNoExactOne) {
  EXPECT_EQ(made("{{.ID}}", R"({"Id":"4f"})"), "4f");
  EXPECT_EQ(made("{{.Id}}", R"({"ID":"a","Id":"b"})"), "b");
}

TEST(Template, MissingMembers) {
  EXPECT_EQ(made("{{.Foo}}"), R"(execute: template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo")");
  EXPECT_EQ(made("{{.Foo}}", "{}", {.type = "*formatter.ContainerContext"}),
            R"(execute: template: :1:2: executing "" at <.Foo>: can't evaluate field Foo in type *formatter.ContainerContext)");
  constexpr std::string_view optional[] = {"Health"};
  EXPECT_EQ(made("{{if .Health}}{{.Health.Status}}{{else}}none{{end}}", "{}", {.optional = optional}), "none");
  EXPECT_NE(made("{{.Health.Status}}", "{}", {.optional = optional}).find("nil data; no entry for key \"Status\""), std::string::npos);
  EXPECT_NE(made("{{.Name.First}}", R"({"Name":"x"})").find("can't evaluate field First in type string"), std::string::npos);
}

TEST(Template, Conditions) {
  const char* data = R"({"zero":0,"one":1,"empty":"","text":"x","list":[],"nothing":null,"no":false})";
  for (const char* falsy : {".zero", ".empty", ".list", ".nothing", ".no", "nil"})
    EXPECT_EQ(made("{{if not " + std::string(falsy) + "}}F{{end}}", data), "F") << falsy;
  EXPECT_EQ(made("{{if .zero}}a{{else if .one}}b{{else}}c{{end}}", data), "b");
  EXPECT_EQ(made("{{if .zero}}a{{else if .no}}b{{else}}c{{end}}", data), "c");
  EXPECT_EQ(made("{{if and .one .text}}y{{end}}{{if or .zero .empty}}n{{end}}", data), "y");
  EXPECT_EQ(made("{{or .empty \"fallback\"}}", data), "fallback");
  // The second is not looked at when the first decides.
  EXPECT_EQ(made("{{if and .no .Missing}}y{{else}}n{{end}}", data), "n");
}

TEST(Template, WithAndVariables) {
  EXPECT_EQ(made("{{with .a}}{{.b}}-{{$.c}}{{end}}{{with .none}}x{{else}}empty{{end}}", R"({"a":{"b":1},"c":2,"none":""})"), "1-2empty");
  EXPECT_EQ(made("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}"), "2");
  EXPECT_EQ(made("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}"), "21");
  EXPECT_EQ(made("{{$y}}"), R"(parse: template: :1: undefined variable "$y")");
}

TEST(Template, Ranges) {
  const char* data = R"({"list":["a","b","c"],"map":{"y":2,"x":1},"none":[]})";
  EXPECT_EQ(made("{{range .list}}{{.}},{{end}}", data), "a,b,c,");
  EXPECT_EQ(made("{{range $i, $e := .list}}{{$i}}={{$e}} {{end}}", data), "0=a 1=b 2=c ");
  EXPECT_EQ(made("{{range $k, $v := .map}}{{$k}}={{$v}} {{end}}", data), "x=1 y=2 ");
  EXPECT_EQ(made("{{range .none}}x{{else}}nothing{{end}}", data), "nothing");
  EXPECT_EQ(made("{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", data), "a");
  EXPECT_EQ(made("{{range .list}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", data), "ac");
  EXPECT_EQ(made("{{range 3}}{{.}}{{end}}"), "012");
  EXPECT_EQ(made("{{range $p, $conf := .P}}{{$p}} -> {{(index $conf 0).HostPort}}{{end}}", R"({"P":{"80/tcp":[{"HostPort":"8080"}]}})"),
            "80/tcp -> 8080");
}

TEST(Template, Functions) {
  const char* data = R"({"s":"Hello World","l":["a","b"],"m":{"k":"<v>"},"n":42})";
  EXPECT_EQ(made("{{json .m}}", data), R"({"k":"<v>"})");
  EXPECT_EQ(made("{{json .s}}", R"({"s":"\\u003c<"})"), R"("\\u003c<")");
  EXPECT_EQ(made("{{upper .s}} {{lower .s}} {{title \"ab cd\"}}", data), "HELLO WORLD hello world Ab Cd");
  EXPECT_EQ(made("{{join .l \"+\"}} {{split .s \" \"}} {{index (split .s \" \") 1}}", data), "a+b [Hello World] World");
  EXPECT_EQ(made("{{truncate .s 5}}|{{pad \"x\" 1 2}}|", data), "Hello| x  |");
  EXPECT_EQ(made("{{len .s}} {{len .l}} {{len .m}}", data), "11 2 1");
  EXPECT_EQ(made("{{index .m \"k\"}} {{index .l 1}}", data), "<v> b");
  EXPECT_EQ(made("{{slice .s 0 5}}", data), "Hello");
  EXPECT_EQ(made("{{.s | lower | printf \"%q\"}}", data), "\"hello world\"");
  EXPECT_EQ(made("{{println .n .s}}", data), "42 Hello World\n");
  EXPECT_EQ(made("{{print .n \"x\" 1 2}}", data), "42x1 2");
  EXPECT_EQ(made("{{html .m.k}} {{urlquery \"a b&\"}}", data), "&lt;v&gt; a+b%26");
}

TEST(Template, Printf) {
  EXPECT_EQ(made(R"({{printf "%s|%5s|%-5s|%05d|%x|%.2f|%t|%v|%%" "a" "b" "c" 42 255 1.5 true .}})", R"({"k":1})"),
            "a|    b|c    |00042|ff|1.50|true|map[k:1]|%");
  EXPECT_EQ(made(R"({{printf "%d" "x"}} {{printf "%s"}} {{printf "a" 1}})"), "%!d(string=x) %!s(MISSING) a%!(EXTRA int=1)");
}

TEST(Template, Comparisons) {
  EXPECT_EQ(made(R"({{eq 1 1}} {{eq "a" "b" "a"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1 2}})"),
            "true true true true true true false");
  EXPECT_EQ(made(R"({{eq 1 "1"}})"),
            R"(execute: template: :1:2: executing "" at <eq 1 "1">: error calling eq: incompatible types for comparison)");
}

TEST(Template, Labels) {
  auto labels = json::Document::parse(R"({"com.x.role":"db"})");
  EXPECT_EQ(made(R"({{.Label "com.x.role"}}|{{.Label "none"}})", "{}", {.labels = &labels->root()}), "db|");
  EXPECT_EQ(made(R"({{.Label "com.x.my-role"}})", "{}", {.headers = true}), "my role");
}

TEST(Template, Headers) {
  EXPECT_EQ(made("{{.ID}} {{upper .Name}} {{json .Name}} {{truncate .ID 3}}{{if .Current}}*{{end}}",
                 R"({"ID":"CONTAINER ID","Name":"names"})", {.headers = true}),
            "CONTAINER ID names names CONTAINER ID");
}

TEST(Template, Errors) {
  for (auto [text, error] : {std::pair("{{.A", "unclosed action"),
                             {"{{if .A}}", "unexpected EOF"},
                             {"{{end}}", "unexpected {{end}}"},
                             {"{{.A | }}", "missing value for command"},
                             {"{{foo}}", "function \"foo\" not defined"},
                             {"{{\"a}}", "unterminated quoted string"},
                             {"{{(.A}}", "unclosed left paren"},
                             {"{{define \"x\"}}{{end}}", "not supported"},
                             {"{{break}}", "outside {{range}}"},
                             {"{{1.2.3}}", "bad number syntax"},
                             {"{{/* a", "unclosed comment"},
                             {"{{}}", "missing value for command"}})
    EXPECT_NE(made(text).find(error), std::string::npos) << text << ": " << made(text);
  EXPECT_NE(made("{{index .l 5}}", R"({"l":[1]})").find("index out of range: 5"), std::string::npos);
  EXPECT_NE(made("{{len}}").find("wrong number of args for len"), std::string::npos);
}

TEST(Template, EndlessOutputAndNestingAreRefused) {
  EXPECT_NE(made("{{range 100000}}{{range 100000}}x{{end}}{{end}}").find("no end"), std::string::npos);
  std::string deep;
  for (int i = 0; i < 2000; ++i) deep += "{{if true}}";
  EXPECT_NE(made(deep).find("nested too deeply"), std::string::npos);
  EXPECT_NE(made("{{" + std::string(2000, '(') + "}}").find("nested too deeply"), std::string::npos);
}

}  // namespace
}  // namespace estiba::cli
