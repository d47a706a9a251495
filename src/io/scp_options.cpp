#include "sealine/io/scp_options.hpp"

#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"

#include <utility>

namespace sealine::io::scp {

KeyPair KeyPair::generate() {
  return KeyPair(crypto::KeyPair::generate(thread_engine(), system_rng()));
}

Result<KeyPair> KeyPair::open(const std::filesystem::path& state_dir) {
  SEALINE_TRY(keys, open_default_identity(state_dir));
  return KeyPair(std::move(keys));
}

std::string KeyPair::public_key_text() const {
  return crypto::public_key_text(thread_engine(), public_key());
}

std::string describe(const Connected& connected) {
  std::string text;
  if (connected.key) text = crypto::public_key_text(thread_engine(), *connected.key) + " ";
  text += "(" + std::string(to_string(connected.trust)) + "), SCP/1 ";
  text += ::sealine::scp::pattern_name(connected.mode);
  text += ", AES-256-GCM";
  return text;
}

}  // namespace sealine::io::scp
