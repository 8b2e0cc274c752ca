#include "server/doctor_verb.h"

#include <cstdio>

#include "network/doctor.h"

namespace estiba::server {

using network::Finding;

static const char* word(Finding::Grade grade) {
  switch (grade) {
    case Finding::Grade::good: return "ok";
    case Finding::Grade::warning: return "warning";
    case Finding::Grade::problem: break;
  }
  return "problem";
}

Result<int> run_doctor(const cli::Arguments& arguments) {
  std::string pods = "10.42.0.0/16", services = "10.43.0.0/16";
  cli::Flags flags("estiba doctor [FLAGS]");
  flags.add("pod-cidr", &pods, "addresses of pods, as the server has them");
  flags.add("service-cidr", &services, "addresses of services, as the server has them");
  const cli::Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes flags only, not \"" + std::string(rest[0]) + "\"");
  network::DoctorOptions options;
  options.pod_cidrs = TRY_AS("--pod-cidr", parse_ranges(pods));
  options.service_cidrs = TRY_AS("--service-cidr", parse_ranges(services));
  bool sound = true;
  for (const Finding& one : network::examine_network(options)) {
    sound = sound && one.grade != Finding::Grade::problem;
    std::printf("%-8s %-12s %s\n", word(one.grade), one.subject.c_str(), one.message.c_str());
    if (!one.remedy.empty()) std::printf("%21s → %s\n", "", one.remedy.c_str());
  }
  return sound ? 0 : 1;
}

}  // namespace estiba::server
