#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace sealine::cli {

/// One screen of help: at most 24 lines of 80 columns, examples first.
struct HelpPage {
  std::string_view topic;  ///< empty: the front page
  std::string_view text;
};

[[nodiscard]] std::span<const HelpPage> help_pages() noexcept;

[[nodiscard]] std::optional<std::string_view> help_page(std::string_view topic) noexcept;

}  // namespace sealine::cli
