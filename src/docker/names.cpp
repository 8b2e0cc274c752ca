#include "docker/names.h"

#include <iterator>

#include "base/strings.h"

namespace estiba::docker {

std::string random_name(int attempt) {
  static constexpr const char* moods[] = {
      "able",   "agile",    "amber",   "ample",   "apt",    "blithe", "bold",  "brave",   "bright",  "brisk",   "calm",    "candid",
      "clever", "cosy",     "crisp",   "daring",  "deft",   "eager",  "early", "earnest", "fair",    "fervent", "festive", "fleet",
      "fond",   "frank",    "gallant", "gentle",  "glad",   "golden", "grand", "hardy",   "hasty",   "hearty",  "honest",  "humble",
      "jolly",  "jovial",   "keen",    "kind",    "lively", "loyal",  "lucid", "mellow",  "merry",   "mighty",  "modest",  "nimble",
      "noble",  "patient",  "placid",  "plucky",  "polite", "prompt", "proud", "quick",   "quiet",   "rapid",   "ready",   "robust",
      "serene", "sharp",    "silent",  "sincere", "sleek",  "smart",  "snug",  "spry",    "steady",  "sturdy",  "sunny",   "swift",
      "tidy",   "tranquil", "trusty",  "valiant", "vivid",  "warm",   "wise",  "witty",   "zealous", "zesty"};
  static constexpr const char* people[] = {
      "abel",      "agnesi",   "ampere",   "arago",    "babbage", "backus",    "banach",  "bernoulli", "bohr",     "boole",    "borg",
      "cantor",    "cauchy",   "cerf",     "church",   "clarke",  "codd",      "cray",    "curie",     "dijkstra", "dirac",    "elion",
      "engelbart", "erdos",    "euclid",   "euler",    "faraday", "fermat",    "fermi",   "floyd",     "fourier",  "galois",   "gauss",
      "germain",   "godel",    "goldberg", "hamilton", "hamming", "hertz",     "hilbert", "hoare",     "hopper",   "hypatia",  "isaac",
      "jacobi",    "johnson",  "kahn",     "kepler",   "knuth",   "lamport",   "laplace", "lamarr",    "leibniz",  "liskov",   "lovelace",
      "maxwell",   "mccarthy", "meitner",  "minsky",   "moore",   "napier",    "nash",    "naur",      "newton",   "noether",  "ohm",
      "pascal",    "perlis",   "planck",   "poincare", "postel",  "ramanujan", "riemann", "ritchie",   "shannon",  "sinoussi", "thompson",
      "turing",    "volta",    "wiles",    "wirth",    "wozniak", "yonath",    "zuse"};
  const std::string random = random_bytes(4);
  const auto at = [&](size_t i) { return size_t(static_cast<unsigned char>(random[i])) << 8 | static_cast<unsigned char>(random[i + 1]); };
  std::string name = std::string(moods[at(0) % std::size(moods)]) + "_" + people[at(2) % std::size(people)];
  if (attempt > 0) name += std::to_string(at(0) % 10 + (attempt > 10 ? size_t(attempt) : 0));
  return name;
}

}  // namespace estiba::docker
