// sealine legacy seal | open: packets on a byte stream, each behind its length.
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/secret_files.hpp"
#include "cli/stdio.hpp"
#include "cli/text.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/secret_file.hpp"
#include "sealine/stcp/legacy.hpp"
#include "sealine/stcp/legacy_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

constexpr std::size_t kPacketDataBytes = std::size_t{64} << 10U;
constexpr std::size_t kReadBytes = std::size_t{256} << 10U;

struct Counts {
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t packets = 0;
};

std::filesystem::path key_path(const LegacyOptions& options) {
  if (!options.key.empty()) return options.key;
  const char* const named = std::getenv("SEALINE_KEY_FILE");
  return named == nullptr ? "" : named;
}

int hex_digit(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_key_size(std::size_t size) { return size == 16 || size == 24 || size == 32; }

/// 16, 24 or 32 bytes: raw, or as hex digits with or without a line's end.
Outcome<SecretBytes> read_key(const std::filesystem::path& path) {
  const auto content = io::read_secret_file(path);
  if (!content) return std::unexpected(secret_file_failure(content.error(), path, "the key"));
  ByteView bytes = content->expose();
  if (is_key_size(bytes.size()) && !(bytes.size() == 32 && std::ranges::all_of(bytes, [](auto c) {
                                       return hex_digit(c) >= 0;
                                     }))) {
    return SecretBytes(bytes);
  }
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) {
    bytes = bytes.first(bytes.size() - 1);
  }
  SecretBytes key(bytes.size() / 2);
  bool is_good = bytes.size() % 2 == 0 && is_key_size(key.size());
  for (std::size_t i = 0; is_good && i < key.size(); ++i) {
    const int high = hex_digit(bytes[2 * i]);
    const int low = hex_digit(bytes[2 * i + 1]);
    is_good = high >= 0 && low >= 0;
    if (is_good) key.writable()[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  if (is_good) return key;
  return failure(Errc::bad_file_line, fmt::format("{} is no legacy key", in_quotes(path.string())),
                 "it has 16, 24 or 32 bytes, raw or as hex digits");
}

/// Standard input piece by piece; empty at its end.
Outcome<ByteView> read_piece(std::span<std::uint8_t> buffer) {
  const auto n = read_descriptor(STDIN_FILENO, buffer);
  if (!n) return failure(n.error(), "standard input cannot be read");
  return ByteView(buffer).first(*n);
}

Outcome<> write_piece(ByteView bytes, Counts& counts) {
  if (const auto written = write_descriptor(STDOUT_FILENO, bytes); !written) {
    return failure(written.error(), "standard output cannot be written");
  }
  counts.bytes_out += bytes.size();
  return {};
}

Outcome<> seal_all(const LegacyOptions& options, const stcp::LegacyKey& key, Counts& counts) {
  auto sealer = stcp::LegacySealer::create(key, options.role, wall_clock_ms(), io::thread_engine(),
                                           io::system_rng());
  if (!sealer) return failure(sealer.error());
  std::vector<std::uint8_t> plain(kPacketDataBytes);
  std::vector<std::uint8_t> packet(stcp::kLegacyFrameHeadBytes + kPacketDataBytes +
                                   sealer->overhead());
  for (;;) {
    SEALINE_TRY(piece, read_piece(plain));
    if (piece.empty()) return {};
    counts.bytes_in += piece.size();
    const auto size = sealer->seal(piece, wall_clock_ms(),
                                   std::span(packet).subspan(stcp::kLegacyFrameHeadBytes));
    if (!size) return failure(size.error());
    const auto head = stcp::encode_legacy_frame_head(*size, options.iv_size);
    std::ranges::copy(head, packet.begin());
    ++counts.packets;
    SEALINE_TRY(write_piece(ByteView(packet).first(head.size() + *size), counts));
  }
}

/// Cuts a stream into packets of the raw form, which may be as short as one AES block.
class RawFrames {
 public:
  explicit RawFrames(std::size_t iv_size) : iv_size_(iv_size) {}

  void append(ByteView bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }

  Result<std::optional<MutableBytes>> next_packet() {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ = 0;
    Reader reader(buffer_);
    const auto length = reader.be<std::uint64_t>();
    if (!length) return std::nullopt;
    if (*length < 16 || *length > stcp::kMaxLegacySealedBytes) return fail(Errc::bad_length);
    const std::size_t size = iv_size_ + static_cast<std::size_t>(*length);
    if (reader.remaining() < size) return std::nullopt;
    used_ = stcp::kLegacyFrameHeadBytes + size;
    return MutableBytes(buffer_).subspan(stcp::kLegacyFrameHeadBytes, size);
  }

  [[nodiscard]] Result<> finish() const {
    if (buffer_.size() > used_) return fail(Errc::truncated);
    return {};
  }

 private:
  std::size_t iv_size_;
  std::vector<std::uint8_t> buffer_;
  std::size_t used_ = 0;  ///< bytes at the front that were given out
};

/// Opens packets by either form.
class Opening {
 public:
  static Outcome<Opening> create(const LegacyOptions& options, const stcp::LegacyKey& key) {
    Opening out(key);
    if (options.raw) return out;
    auto opener = stcp::LegacyOpener::create(
        key, options.role, wall_clock_ms(),
        stcp::LegacyOpener::Options{.any_time = options.any_time}, io::thread_engine());
    if (!opener) return failure(opener.error());
    out.opener_ = std::make_unique<stcp::LegacyOpener>(std::move(*opener));
    return out;
  }

  Result<ByteView> open(MutableBytes packet) {
    if (opener_) {
      SEALINE_TRY(opened, opener_->open(packet, wall_clock_ms()));
      return ByteView(opened.data);
    }
    plain_.resize(packet.size());
    SEALINE_TRY(size, stcp::open_legacy_raw(*key_, packet, plain_));
    return ByteView(plain_).first(size);
  }

 private:
  explicit Opening(const stcp::LegacyKey& key) : key_(&key) {}

  const stcp::LegacyKey* key_;
  std::unique_ptr<stcp::LegacyOpener> opener_;
  std::vector<std::uint8_t> plain_;
};

Failure open_failure(const Error& error, const LegacyOptions& options, const Counts& counts) {
  if (error.code == Errc::truncated) {
    return {error,
            fmt::format("the input ends within packet {}", counts.packets + 1),
            {},
            {},
            kExitDamaged};
  }
  Failure out{error,
              fmt::format("packet {} does not open: {}", counts.packets + 1, to_string(error.code)),
              {},
              "compare --key, --iv and --role at both ends",
              counts.packets == 0 ? kExitAuthentication : kExitDamaged};
  if (!options.any_time && !options.raw) out.hint += "; for stored packets add --any-time";
  return out;
}

/// What was opened before stands on standard output when a packet fails.
template <class Frames>
Outcome<> open_frames(Frames frames, Opening opening, const LegacyOptions& options,
                      Counts& counts) {
  const auto refuse = [&](const Error& error) {
    return std::unexpected(open_failure(error, options, counts));
  };
  std::vector<std::uint8_t> buffer(kReadBytes);
  for (;;) {
    SEALINE_TRY(piece, read_piece(buffer));
    if (piece.empty()) break;
    counts.bytes_in += piece.size();
    frames.append(piece);
    for (;;) {
      const auto packet = frames.next_packet();
      if (!packet) return refuse(packet.error());
      if (!*packet) break;
      const auto data = opening.open(**packet);
      if (!data) return refuse(data.error());
      ++counts.packets;
      SEALINE_TRY(write_piece(*data, counts));
    }
  }
  if (const auto finished = frames.finish(); !finished) return refuse(finished.error());
  return {};
}

Outcome<> open_all(const LegacyOptions& options, const stcp::LegacyKey& key, Counts& counts) {
  SEALINE_TRY(opening, Opening::create(options, key));
  if (options.raw) {
    return open_frames(RawFrames(options.iv_size), std::move(opening), options, counts);
  }
  return open_frames(stcp::LegacyStreamReader(options.iv_size), std::move(opening), options,
                     counts);
}

Outcome<> act(const LegacyOptions& options, Counts& counts, Output& output) {
  const std::filesystem::path path = key_path(options);
  if (path.empty()) {
    return usage("legacy needs --key FILE (or $SEALINE_KEY_FILE)", "sealine help legacy");
  }
  if (path == "-") return usage("standard input is the data: the key needs a file of its own");
  SEALINE_TRY(secret, read_key(path));
  const stcp::LegacyKey key{std::move(secret), options.iv_size};
  if (options.raw) {
    output.warn("legacy-raw authenticates nothing: what comes out may have been altered");
  }
  return options.is_sealing ? seal_all(options, key, counts) : open_all(options, key, counts);
}

}  // namespace

int run_legacy(const LegacyOptions& options, Output& output) {
  Counts counts;
  const auto done = act(options, counts, output);
  int code = kExitDone;
  if (!done) {
    const Failure& why = done.error();
    code = why.exit.value_or(exit_code(why.error, Phase::start, Proof::none));
    if (!is_closed_output(why.error)) output.fail(why);
  }
  output.done(code, {{"bytes_in", counts.bytes_in}, {"bytes_out", counts.bytes_out}});
  return code;
}

}  // namespace sealine::cli
