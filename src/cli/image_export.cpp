#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/strings.h"
#include "cli/verbs.h"
#include "image/archive.h"
#include "os/file.h"

namespace estiba::cli {

Result<int> image_export(const Arguments& arguments) {
  std::string data_dir = "/var/lib/estiba", output = "-", format = "oci", compress = "none";
  Flags flags("estiba image export IMAGE... -o FILE");
  flags.add("data-dir", &data_dir, "where Estiba keeps its data");
  flags.add("output,o", &output, "the archive to write; - is standard output");
  flags.add("format", &format, "oci (an OCI layout that docker load reads as well) or docker (for old Docker)");
  flags.add("compress", &compress, "none, gzip or zstd");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (rest.empty()) return fail(Code::invalid, "give the names or ids of images");
  if (format != "oci" && format != "docker") return fail(Code::invalid, "--format " + quoted(format) + ": oci or docker");
  if (compress != "none" && compress != "gzip" && compress != "zstd")
    return fail(Code::invalid, "--compress " + quoted(compress) + ": none, gzip or zstd");
  const bool to_stdout = output == "-";
  if (to_stdout && ::isatty(STDOUT_FILENO))
    return fail(Code::invalid, "an archive is not for a terminal: give -o FILE or redirect the output");
  auto store = TRY(image::Store::open(data_dir));
  std::vector<std::string> names(rest.begin(), rest.end());
  // Into a file beside it first, so that a failure leaves no half archive under the name.
  const std::string partial = output + ".part";
  Fd file;
  if (!to_stdout) file = TRY(os::open_file(partial, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  image::FileSink plain(to_stdout ? STDOUT_FILENO : file.get());
  auto write = [&]() -> Result<void> {
    const auto kind = format == "oci" ? image::ExportFormat::oci : image::ExportFormat::docker;
    if (compress == "none") return image::export_images(*store, names, kind, plain);
    if (compress == "gzip") {
      image::GzipSink gzip(plain);
      TRY(image::export_images(*store, names, kind, gzip));
      return gzip.finish();
    }
    image::ZstdSink zstd(plain);
    TRY(image::export_images(*store, names, kind, zstd));
    return zstd.finish();
  };
  auto written = write();
  if (written && !to_stdout) written = os::rename_file(partial, output);
  if (!written && !to_stdout) ::unlink(partial.c_str());
  TRY(std::move(written));
  return 0;
}

}  // namespace estiba::cli
