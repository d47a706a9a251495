#include "cli/web_page.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sealine::cli {
namespace {

io::stt::PlainAnswer text_answer(int status, std::string text) {
  return {.status = status, .body = std::move(text), .headers = "Cache-Control: no-store\r\n"};
}

/// No script or style of its own stands in the page, and none may come from elsewhere. Firefox does
/// not count WebSockets to 'self', so they are named.
std::string security_headers(std::string_view host) {
  return fmt::format(
      "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
      "img-src 'self' blob: data:; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
      "connect-src 'self' ws://{0} wss://{0}; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'\r\n"
      "X-Content-Type-Options: nosniff\r\n"
      "X-Frame-Options: DENY\r\n"
      "Referrer-Policy: no-referrer\r\n"
      "Cross-Origin-Opener-Policy: same-origin\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\n",
      host);
}

/// What a host may be made of: it becomes part of a header.
bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 255 && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':' || c == '[' || c == ']';
  });
}

/// Whether an If-None-Match names the tag.
bool matches(std::string_view list, std::string_view etag) {
  return !etag.empty() && list.find(etag) != std::string_view::npos;
}

}  // namespace

const WebAsset* WebPage::find(std::string_view target) const {
  const std::string_view path = target.substr(0, target.find('?'));
  const auto found = std::ranges::find(assets_, path, &WebAsset::path);
  return found == assets_.end() ? nullptr : &*found;
}

io::stt::PlainAnswer WebPage::answer(const websocket::Request& request) const {
  const std::string_view host = request.header("host").value_or("");
  const bool is_ours =
      is_host(host) && (hosts_.empty() || std::ranges::find(hosts_, host) != hosts_.end());
  if (!is_ours) return text_answer(421, "This is not the place of that name.\n");
  const WebAsset* const asset = find(request.target);
  if (asset == nullptr) return text_answer(404, "There is no such file.\n");
  // The page itself is fetched anew each time; what belongs to it is asked about.
  const bool is_page = asset->path == "/";
  std::string headers = security_headers(host);
  headers += is_page ? "Cache-Control: no-store\r\n"
                     : fmt::format("Cache-Control: no-cache\r\nETag: {}\r\n", asset->etag);
  const bool is_known =
      !is_page && matches(request.header("if-none-match").value_or(""), asset->etag);
  return {.status = is_known ? 304 : 200,
          .content_type = std::string(asset->content_type),
          .body = is_known ? std::string() : std::string(asset->body),
          .headers = std::move(headers)};
}

std::vector<std::string> loopback_hosts(std::uint16_t port) {
  std::vector<std::string> out;
  for (const std::string_view name : {"127.0.0.1", "localhost", "[::1]"}) {
    out.push_back(fmt::format("{}:{}", name, port));
    if (port == 80) out.emplace_back(name);
  }
  return out;
}

}  // namespace sealine::cli
