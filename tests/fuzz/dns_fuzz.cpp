// links: network
// Messages from anybody: questions as pods send them, answers as other servers do.
#include <cstdlib>

#include "network/dns/answers.h"
#include "network/dns/zone.h"

using namespace estiba::network;

static dns::Zone make_zone() {
  dns::Zone zone({.domain = "c", .server = Address::from_number(1), .owned = {}});
  auto names = std::make_shared<dns::ServiceNames>(dns::ServiceNames{.ns = "n", .name = "s"});
  names->ports = {{"p", Protocol::tcp, 80}};
  names->endpoints = {{"h", Address::from_number(2), names->ports}};
  zone.set("n/s", names);
  return zone;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const dns::Zone zone = make_zone();
  std::string_view message(reinterpret_cast<const char*>(data), size);
  (void)dns::parse_answer(message);
  auto query = dns::parse_query(message);
  auto key = dns::Answers::key_of(message);
  if (!query) {
    if (key) abort();
    if (!query.error().drop) (void)dns::refuse(query.error());
    return 0;
  }
  auto found = zone.answer(query->name, query->type);
  dns::Reply reply = found ? found->reply : dns::Reply{.rcode = dns::refused};
  size_t limit = dns::udp_limit(*query);
  std::string out = dns::encode(*query, reply, limit);
  // What we say ourselves must be well-formed, within the limit, and about the same name.
  auto answer = dns::parse_answer(out);
  if (!answer || answer->name != query->name || out.size() > limit) abort();
  // Whoever asks the same again gets the same.
  dns::Answers answers;
  char space[1232];
  if (key) answers.put(*key, out);
  if (key && std::string_view(space, answers.find(*key, message, space)) != out) abort();
  auto again = dns::parse_query(dns::encode_query(*query, 7));
  if (!again || again->name != query->name || again->type != query->type) abort();
  return 0;
}
