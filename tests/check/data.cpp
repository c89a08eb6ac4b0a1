#include "tests/check/data.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace penumbra::check {

namespace fs = std::filesystem;

std::optional<fs::path> data_directory() {
  const char* set = std::getenv("PENUMBRA_TEST_DATA");
  fs::path path = set != nullptr ? set : PENUMBRA_DEFAULT_TEST_DATA;
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::nullopt;
  return path;
}

std::vector<std::string> data_files(const std::string& subdirectory, const std::string& extension) {
  std::vector<std::string> files;
  auto root = data_directory();
  if (!root) return files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(*root / subdirectory, error))
    if (entry.path().string().ends_with(extension)) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

std::optional<std::vector<std::string>> read_lines(const std::string& path) {
  std::ifstream file(path);
  if (!file || fs::is_directory(path)) return std::nullopt;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

}  // namespace penumbra::check
