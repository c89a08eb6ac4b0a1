// Where the captured test data lies, and the exit codes of the check programs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace penumbra::check {

/// Exit codes: differences; unusable input; CTest's "skipped" (no data on this machine).
constexpr int kPassed = 0, kFailed = 1, kUnusable = 2, kSkipped = 77;

/// $PENUMBRA_TEST_DATA, else the folder beside the source tree; nothing where it is absent.
std::optional<std::filesystem::path> data_directory();

/// Files of the data folder's `subdirectory` that end in `extension`, sorted.
std::vector<std::string> data_files(const std::string& subdirectory, const std::string& extension);

/// Lines of a file; nothing when it cannot be read.
std::optional<std::vector<std::string>> read_lines(const std::string& path);

}  // namespace penumbra::check
