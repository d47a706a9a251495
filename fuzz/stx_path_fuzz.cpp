// Names and link targets of a peer: what is taken stays below the root, by a second reckoning that
// knows nothing of the first.
//
//   bytes 0, 1   length of the name, big-endian
//   then         the name; the rest is a link's target
#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sealine;

std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> out(1);
  for (const char c : path) {
    if (c == '/') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

bool may_be_taken(const std::string& component) {
  return !component.empty() && component != "." && component != ".." && component.size() <= 255 &&
         component.find('\0') == std::string::npos && component.rfind(".stx-", 0) != 0 &&
         !(component.size() >= 8 && component.substr(component.size() - 8) == ".stxpart");
}

bool name_may_be_taken(std::string_view name) {
  const auto all = components(name);
  return name.size() <= 4095 && all.size() <= 32 && std::ranges::all_of(all, may_be_taken);
}

/// Walks a target as text from the link's folder; whether it ever leaves the root.
bool leaves_the_root(std::string_view name, std::string_view target) {
  long depth = static_cast<long>(components(name).size()) - 1;
  for (const std::string& component : components(target)) {
    if (component == "..") --depth;
    if (component != ".." && component != "." && !component.empty()) ++depth;
    if (depth < 0) return true;
  }
  return target.starts_with('/');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text = as_text(ByteView(data, size).subspan(2));
  const std::size_t split = std::min<std::size_t>(text.size(), data[0] * 256U + data[1]);
  const std::string_view name = text.substr(0, split);
  const std::string_view target = text.substr(split);

  const bool taken = stx::check_name(name).has_value();
  SEALINE_ASSERT(taken == name_may_be_taken(name));
  if (!taken) return 0;
  const std::string_view parent = stx::parent_of(name);
  SEALINE_ASSERT(parent.empty()
                     ? stx::leaf_of(name) == name
                     : std::string(parent) + "/" + std::string(stx::leaf_of(name)) == name);
  if (!parent.empty()) SEALINE_ASSERT(stx::check_name(parent).has_value());
  if (stx::check_link_target(name, target)) {
    SEALINE_ASSERT(!target.empty() && target.size() <= 4095);
    SEALINE_ASSERT(target.find('\0') == std::string_view::npos);
    SEALINE_ASSERT(!leaves_the_root(name, target));
  }
  return 0;
}
