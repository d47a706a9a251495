#include "sealine/io/known_peers.hpp"

#include "io/detail/file.hpp"
#include "io/detail/lines.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <fcntl.h>
#include <utility>

namespace sealine::io {

namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20U;
constexpr std::size_t kMaxHostChars = 255;
constexpr std::string_view kTimeForm = "dddd-dd-ddTdd:dd:ddZ";  // d: a digit

bool is_host_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f && c != '[' && c != ']' && c != '#' && c != '/';
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_time(std::string_view text) {
  if (text.size() != kTimeForm.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kTimeForm[i] == 'd' ? !digit : text[i] != kTimeForm[i]) return false;
  }
  return true;
}

bool is_name(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
}

std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  const std::size_t n = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text.data(), n};
}

/// The content of the file; nothing, where it is missing.
Result<std::string> read_text(const std::filesystem::path& path) {
  auto file = detail::open_file(path, O_RDONLY);
  if (!file && file.error().detail == ENOENT) return std::string();
  if (!file) return std::unexpected(file.error());
  SEALINE_TRY(content, detail::read_to_end(file->value(), kMaxFileBytes));
  return std::string(as_text(content.expose()));
}

Result<KnownKey> parse_line(detail::Line line, KnownPeers::Kind kind) {
  const auto bad = [&] {
    return fail(Errc::bad_file_line, static_cast<std::uint32_t>(line.number));
  };
  std::string_view rest = line.text;
  KnownKey known;
  known.line = line.number;
  if (kind == KnownPeers::Kind::peers) {
    const std::string_view peer = detail::take_field(rest);
    const auto normal = parse_peer_name(peer);
    if (!normal || *normal != peer) return bad();
    known.peer = peer;
  }
  const auto key = crypto::parse_public_key(thread_engine(), detail::take_field(rest));
  const std::string_view first_seen = detail::take_field(rest);
  if (!key || !is_time(first_seen) || !is_name(rest)) return bad();
  known.key = *key;
  known.first_seen = first_seen;
  known.name = rest;
  return known;
}

Result<std::vector<KnownKey>> parse_lines(std::string_view text, KnownPeers::Kind kind) {
  std::vector<KnownKey> found;
  SEALINE_TRY(detail::for_each_line(text, [&](detail::Line line) -> Result<> {
    if (line.is_comment()) return {};
    SEALINE_TRY(known, parse_line(line, kind));
    found.push_back(std::move(known));
    return {};
  }));
  return found;
}

std::vector<KnownKey> of_peer(std::vector<KnownKey> all, std::string_view peer) {
  std::erase_if(all, [&](const KnownKey& known) { return known.peer != peer; });
  return all;
}

std::string make_line(KnownPeers::Kind kind, std::string_view peer, const crypto::PublicKey& key,
                      std::string_view name) {
  std::string line;
  if (kind == KnownPeers::Kind::peers) line.append(peer).append(" ");
  line.append(crypto::public_key_text(thread_engine(), key)).append(" ").append(time_now());
  if (!name.empty()) line.append(" ").append(name);
  return line + "\n";
}

/// The text without the lines of these numbers; all others as they are.
std::string without_lines(std::string_view text, const std::vector<KnownKey>& gone) {
  std::string kept;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::size_t size = end == std::string_view::npos ? text.size() : end + 1;
    ++number;
    if (std::ranges::none_of(gone, [&](const KnownKey& k) { return k.line == number; })) {
      kept += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return kept;
}

void append_line(std::string& text, const std::string& line) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += line;
}

/// The file under its lock.
struct Locked {
  detail::FileDescriptor lock;
  std::string text;
  std::vector<KnownKey> keys;
};

Result<Locked> lock_and_read(const std::filesystem::path& path, KnownPeers::Kind kind) {
  std::filesystem::path lock_path = path;
  lock_path += ".lock";
  SEALINE_TRY(lock, detail::lock_file(lock_path));
  SEALINE_TRY(text, read_text(path));
  SEALINE_TRY(keys, parse_lines(text, kind));
  return Locked{std::move(lock), std::move(text), std::move(keys)};
}

ContactResult compare(std::vector<KnownKey> keys, const crypto::PublicKey& key) {
  const bool known = std::ranges::any_of(keys, [&](const KnownKey& k) { return k.key == key; });
  return {known ? Contact::known : Contact::changed, std::move(keys)};
}

}  // namespace

Result<std::string> peer_name(std::string_view host, std::uint16_t port) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) return fail(Errc::usage);
  }
  const bool ipv6 = host.find(':') != std::string_view::npos;
  if (!ipv6 && host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > kMaxHostChars || !std::ranges::all_of(host, is_host_char)) {
    return fail(Errc::usage);
  }
  std::string name;
  if (ipv6) name += '[';
  std::ranges::transform(host, std::back_inserter(name), lower);
  if (ipv6) name += ']';
  return name + ':' + std::to_string(port);
}

Result<std::string> parse_peer_name(std::string_view host_port) {
  const std::size_t colon = host_port.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == host_port.size()) return fail(Errc::usage);
  const std::string_view host = host_port.substr(0, colon);
  const std::string_view port = host_port.substr(colon + 1);
  // Without brackets the last group of an IPv6 address would pass for a port.
  if (!host.starts_with('[') && host.find(':') != std::string_view::npos) return fail(Errc::usage);
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0) {
    return fail(Errc::usage);
  }
  return peer_name(host, number);
}

Result<std::vector<KnownKey>> KnownPeers::list() const {
  SEALINE_TRY(text, read_text(file_));
  return parse_lines(text, kind_);
}

Result<std::vector<KnownKey>> KnownPeers::find(std::string_view peer) const {
  SEALINE_TRY(all, list());
  return of_peer(std::move(all), peer);
}

Result<std::optional<KnownKey>> KnownPeers::find(const crypto::PublicKey& key) const {
  SEALINE_TRY(all, list());
  for (KnownKey& known : all) {
    if (known.key == key) return std::optional(std::move(known));
  }
  return std::optional<KnownKey>();
}

Result<ContactResult> KnownPeers::first_contact(std::string_view peer,
                                                const crypto::PublicKey& key) {
  const auto relevant = [&](std::vector<KnownKey> all) {
    if (kind_ == Kind::peers) return of_peer(std::move(all), peer);
    std::erase_if(all, [&](const KnownKey& known) { return known.key != key; });
    return all;
  };
  // Most peers are known: they need no lock.
  SEALINE_TRY(seen, list());
  if (auto mine = relevant(std::move(seen)); !mine.empty()) return compare(std::move(mine), key);

  SEALINE_TRY(locked, lock_and_read(file_, kind_));
  if (auto mine = relevant(locked.keys); !mine.empty()) return compare(std::move(mine), key);
  append_line(locked.text, make_line(kind_, peer, key, {}));
  SEALINE_TRY(detail::replace_file(file_, as_bytes(locked.text)));
  return ContactResult{Contact::pinned, {}};
}

Result<> KnownPeers::add(std::string_view peer, const crypto::PublicKey& key,
                         std::string_view name) {
  if (!is_name(name)) return fail(Errc::usage);
  SEALINE_TRY(locked, lock_and_read(file_, kind_));
  for (const KnownKey& known : locked.keys) {
    if (kind_ == Kind::peers && known.peer == peer) return fail(Errc::usage);
    if (kind_ == Kind::clients && known.key == key) return {};
  }
  append_line(locked.text, make_line(kind_, peer, key, name));
  return detail::replace_file(file_, as_bytes(locked.text));
}

Result<> KnownPeers::replace(std::string_view peer, const crypto::PublicKey& key) {
  SEALINE_TRY(locked, lock_and_read(file_, kind_));
  const auto old = of_peer(std::move(locked.keys), peer);
  std::string text = without_lines(locked.text, old);
  append_line(text,
              make_line(kind_, peer, key, old.empty() ? std::string_view() : old.front().name));
  return detail::replace_file(file_, as_bytes(text));
}

Result<> KnownPeers::set_next(std::string_view peer, const crypto::PublicKey& current,
                              const crypto::PublicKey& next) {
  SEALINE_TRY(locked, lock_and_read(file_, kind_));
  auto gone = of_peer(std::move(locked.keys), peer);
  const auto is = [](const crypto::PublicKey& key) {
    return [&key](const KnownKey& known) { return known.key == key; };
  };
  const auto kept = std::ranges::find_if(gone, is(current));
  if (kept == gone.end() || current == next) return {};
  const std::string name = kept->name;
  const bool has_next = std::ranges::any_of(gone, is(next));
  if (has_next && gone.size() == 2) return {};
  gone.erase(kept);
  std::string text = without_lines(locked.text, gone);
  append_line(text, make_line(kind_, peer, next, name));
  return detail::replace_file(file_, as_bytes(text));
}

Result<std::size_t> KnownPeers::forget(std::string_view peer) {
  SEALINE_TRY(locked, lock_and_read(file_, kind_));
  const auto gone = of_peer(std::move(locked.keys), peer);
  if (gone.empty()) return std::size_t{0};
  SEALINE_TRY(detail::replace_file(file_, as_bytes(without_lines(locked.text, gone))));
  return gone.size();
}

}  // namespace sealine::io
