// Key texts of every kind: what is read must be written back as it was, but for the case of its
// letters.
#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/key_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace sealine;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<crypto::Engine> engine =
      crypto::make_engine(crypto::EngineChoice::openssl).value();
  const std::string_view text = as_text({data, size});
  int read = 0;
  if (const auto key = crypto::parse_public_key(*engine, text)) {
    SEALINE_ASSERT(crypto::public_key_text(*engine, *key) == lower(text));
    SEALINE_ASSERT(crypto::fingerprint(*engine, *key).size() == 19);
    ++read;
  }
  if (const auto key = crypto::parse_private_key(*engine, text)) {
    const SecretBytes again = crypto::private_key_text(*engine, *key);
    SEALINE_ASSERT(as_text(again.expose()) == lower(text));
    ++read;
  }
  if (const auto psk = crypto::parse_psk(*engine, text)) {
    const SecretBytes again = crypto::psk_text(*engine, *psk);
    SEALINE_ASSERT(text.size() == 64 || as_text(again.expose()) == lower(text));
    const auto same = crypto::parse_psk(*engine, as_text(again.expose()));
    SEALINE_ASSERT(same && std::ranges::equal(same->expose(), psk->expose()));
    ++read;
  }
  SEALINE_ASSERT(read <= 1);  // no text is a key of two kinds
  return 0;
}
