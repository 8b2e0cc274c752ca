#!/usr/bin/env perl
# Makes src/cel/regex/unicode_data.cpp: the general categories, scripts and simple case foldings of Unicode, as this Perl knows
# them. Run it by hand when Unicode changes: tools/unicode_classes.pl > src/cel/regex/unicode_data.cpp
use strict;
use warnings;
use Unicode::UCD qw(prop_invlist prop_values prop_value_aliases casefold);

my @alphabet = ('A' .. 'Z', 'a' .. 'z', '0' .. '9', '+', '/');

# Five bits a character, the low ones first; 32 says that more follow.
sub number {
  my ($value) = @_;
  my $out = '';
  while ($value >= 32) {
    $out .= $alphabet[32 + $value % 32];
    $value >>= 5;
  }
  return $out . $alphabet[$value];
}

sub lines {
  my ($text) = @_;
  return join("\n", map { "     \"$_\"" } ($text =~ /.{1,130}/g)) || '     ""';
}

# Ranges as distances: from the last end to the begin, from there to the end.
sub class {
  my ($name, @list) = @_;
  my ($at, $out) = (0, '');
  push @list, 0x110000 if @list % 2;
  while (my ($from, $to) = splice(@list, 0, 2)) {
    $out .= number($from - $at) . number($to - 1 - $from);
    $at = $to;
  }
  print "    {\"$name\",\n" . lines($out) . "},\n";
}

print "// Made by tools/unicode_classes.pl: Unicode " . Unicode::UCD::UnicodeVersion() . ". Do not edit.\n";
print "// clang-format off\n#include \"cel/regex/unicode_data.h\"\n\nnamespace estiba::cel::regex {\n\nextern const ClassData class_data[] = {\n";
my @categories = qw(C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs);
class($_, prop_invlist("General_Category=$_")) for grep { $_ ne 'C' } @categories;
for my $script (sort(prop_values("Script"))) {
  my ($short, $long) = prop_value_aliases("Script", $script);
  next if ($long // '') eq '' || $long eq 'Unknown' || $long eq 'Katakana_Or_Hiragana';
  class($long, prop_invlist("Script=$script"));
}
print "};\nextern const unsigned class_count = sizeof class_data / sizeof class_data[0];\n\n";

my ($last, $folds) = (0, '');
for my $from (0 .. 0x1ffff) {
  my $fold = casefold($from) or next;
  next if !$fold->{simple};
  my $delta = hex($fold->{simple}) - $from;
  $folds .= number($from - $last) . number($delta < 0 ? -2 * $delta - 1 : 2 * $delta);
  $last = $from;
}
print "extern const char fold_data[] =\n" . lines($folds) . ";\n\n}  // namespace estiba::cel::regex\n";
