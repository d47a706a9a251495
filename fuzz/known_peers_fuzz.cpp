// Files of keys as a user or an accident may leave them: either read whole, or refused with a line
// number; and a change keeps every other byte.
//
//   byte 0   bit 0: known_clients; bit 1: also add and forget a name
//   then     the file
#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/io/known_peers.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>

namespace {

using namespace sealine;

// A folder of this process's own, in memory where there is such a place: each run writes files.
const std::filesystem::path& folder() {
  static const struct Folder {
    std::filesystem::path path;

    Folder() {
      const std::filesystem::path memory = "/dev/shm";
      std::error_code none;
      const bool in_memory = std::filesystem::is_directory(memory, none);
      const auto base = in_memory ? memory : std::filesystem::temp_directory_path();
      path = base / ("sealine-fuzz-" + std::to_string(::getpid()));
      std::filesystem::create_directories(path);
    }

    ~Folder() {
      std::error_code none;
      std::filesystem::remove_all(path, none);
    }
  } one;

  return one.path;
}

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto file = folder() / "file";
  const std::string text(as_text(ByteView(data, size).subspan(1)));
  std::ofstream(file, std::ios::binary) << text;
  const bool clients = (data[0] & 1U) != 0;
  io::KnownPeers known(file, clients ? io::KnownPeers::Kind::clients : io::KnownPeers::Kind::peers);

  const auto all = known.list();
  if (!all) {
    SEALINE_ASSERT(all.error().code == Errc::bad_file_line && all.error().detail > 0);
    return 0;
  }
  for (const io::KnownKey& key : *all) {
    SEALINE_ASSERT(key.line > 0 && key.peer.empty() == clients);
    if (clients) continue;
    const auto found = known.find(key.peer);
    SEALINE_ASSERT(found && !found->empty());
  }
  const std::string name = "a-name-of-no-one:1";
  if (clients || (data[0] & 2U) == 0 || !known.find(name)->empty()) return 0;
  SEALINE_ASSERT(known.add(name, crypto::PublicKey{}).has_value());
  SEALINE_ASSERT(contents(file).starts_with(text));
  SEALINE_ASSERT(known.forget(name) == std::size_t{1});
  const std::string after = contents(file);
  SEALINE_ASSERT(after == text || after == text + "\n");
  return 0;
}
