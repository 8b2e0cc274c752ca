// Runtime: ImageService.
#include "base/strings.h"
#include "cri/runtime.h"
#include "image/usage.h"
#include "io/pool.h"

namespace estiba::cri {

namespace {

v1::Image image_of(const engine::ImageInfo& info) {
  v1::Image out;
  out.id = info.id;
  out.repo_tags = info.tags;
  out.repo_digests = info.digests;
  out.size = info.size;
  const std::string user(split_once(info.user, ':').first);
  if (auto uid = parse_number<int64_t>(user)) out.uid = *uid;
  else if (user.empty()) out.uid = 0;
  else out.username = user;
  out.spec.image = info.tags.empty() ? info.id : info.tags.front();
  return out;
}

Result<std::vector<engine::Credentials>> credentials_of(const v1::AuthConfig& auth) {
  if (!auth.registry_token.empty()) return fail(Code::unsupported, "auth.registry_token is not offered; use username and password");
  engine::Credentials out{auth.username, auth.password, auth.identity_token};
  if (out.username.empty() && !auth.auth.empty()) {
    const std::string text = TRY_AS("auth.auth", base64_decode(auth.auth));
    const auto [user, password] = split_once(text, ':');
    if (!password) return fail(Code::invalid, "auth.auth must be USER:PASSWORD in base64");
    out.username = user;
    out.password = *password;
    while (out.password.ends_with('\0')) out.password.pop_back();  // some clients pad it
  }
  if (out.username.empty() && out.identity_token.empty()) return std::vector<engine::Credentials>{};
  return std::vector{std::move(out)};
}

}  // namespace

Task<Result<v1::ListImagesResponse>> Runtime::list_images(v1::ListImagesRequest request) {
  v1::ListImagesResponse out;
  if (const std::string& only = request.filter.image.image; !only.empty()) {
    if (auto found = CO_TRY(co_await parts_.engine.image_status(only))) out.images.push_back(image_of(*found));
    co_return out;
  }
  for (const auto& info : CO_TRY(co_await parts_.engine.images())) out.images.push_back(image_of(info));
  co_return out;
}

Task<Result<v1::ImageStatusResponse>> Runtime::image_status(v1::ImageStatusRequest request) {
  if (request.image.image.empty()) co_return fail(Code::invalid, "ImageStatus needs an image");
  v1::ImageStatusResponse out;
  if (auto found = CO_TRY(co_await parts_.engine.image_status(request.image.image))) out.image = image_of(*found);
  co_return out;
}

Task<Result<v1::PullImageResponse>> Runtime::pull_image(v1::PullImageRequest request) {
  if (request.image.image.empty()) co_return fail(Code::invalid, "PullImage needs an image");
  auto credentials = CO_TRY(credentials_of(request.auth));
  auto info = CO_TRY(co_await parts_.engine.ensure_image(request.image.image, engine::PullPolicy::always, std::move(credentials)));
  co_return v1::PullImageResponse{info.id};
}

Task<Result<v1::Empty>> Runtime::remove_image(v1::RemoveImageRequest request) {
  if (request.image.image.empty()) co_return fail(Code::invalid, "RemoveImage needs an image");
  // By any of its names the image goes whole, as the kubelet's collector expects.
  auto found = CO_TRY(co_await parts_.engine.image_status(request.image.image));
  if (found) CO_TRY(co_await parts_.engine.remove_image(found->id));
  co_return v1::Empty{};
}

Task<Result<v1::ImageFsInfoResponse>> Runtime::image_fs_info(v1::Empty) {
  image::Store* store = store_.get();
  v1::FilesystemUsage usage;
  usage.timestamp = now_ns();
  usage.fs_id.mountpoint = options_.data_dir;
  usage.used_bytes = CO_TRY(co_await parts_.pool.run([store]() -> Result<uint64_t> { return image::layers_size(*store); }));
  // Images and writable layers are on one file system; said twice, the kubelet knows.
  co_return v1::ImageFsInfoResponse{{usage}, {usage}};
}

}  // namespace estiba::cri
