#include "sealine/stx/name.hpp"

namespace sealine::stx {

namespace {

/// Takes the next component, and the `/` behind it, off the front.
std::string_view take_component(std::string_view& rest) noexcept {
  const std::size_t end = rest.find('/');
  const std::string_view component = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return component;
}

bool is_allowed(std::string_view component) noexcept {
  return !component.empty() && component != "." && component != ".." &&
         component.size() <= kMaxComponentBytes && !component.ends_with(kPartSuffix) &&
         !component.starts_with(kReservedPrefix);
}

}  // namespace

Result<> check_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxNameBytes || name.ends_with('/') ||
      name.find('\0') != std::string_view::npos) {
    return fail(Errc::file_name_refused);
  }
  std::size_t depth = 0;
  while (!name.empty()) {
    // An absolute name has an empty component in front.
    if (!is_allowed(take_component(name)) || ++depth > kMaxNameDepth) {
      return fail(Errc::file_name_refused);
    }
  }
  return {};
}

Result<> check_link_target(std::string_view name, std::string_view target) noexcept {
  if (target.empty() || target.size() > kMaxTargetBytes || target.starts_with('/') ||
      target.find('\0') != std::string_view::npos) {
    return fail(Errc::link_target_refused);
  }
  std::size_t depth = 0;  // of the link's folder
  for (std::string_view rest = parent_of(name); !rest.empty(); ++depth) take_component(rest);

  bool descended = false;
  while (!target.empty()) {
    const std::string_view component = take_component(target);
    if (component.empty() || component == ".") continue;
    if (component != "..") {
      descended = true;
      continue;
    }
    // Behind a name `..` is not one up: that name may be a link to somewhere else.
    if (descended || depth == 0) return fail(Errc::link_target_refused);
    --depth;
  }
  return {};
}

}  // namespace sealine::stx
