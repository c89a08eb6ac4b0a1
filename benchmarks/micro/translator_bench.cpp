// What translation costs, per guest instruction: decoding; lifting and optimising; laying out uops.
#include <benchmark/benchmark.h>

#include "benchmarks/micro/code.h"
#include "frontend/decode_cache.h"
#include "jit/interp/interpreter.h"
#include "translator/translate.h"

namespace penumbra::benchmarks {
namespace {

constexpr u32 kMostInstructions = 64;

/// Time per instruction, in the unit of the report.
void count_instructions(benchmark::State& state, size_t instructions) {
  state.counters["per_instruction"] = benchmark::Counter(
      static_cast<double>(instructions), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

std::vector<translator::Block> blocks_of_page() {
  std::vector<u8> page = code_page();
  cpu::CpuModel model;
  std::vector<translator::Block> blocks;
  for (u16 at = 0; at + 64u < kPageSize; at = static_cast<u16>(blocks.back().end))
    blocks.push_back(*translator::translate({page, at, {}}, user_mode(), model, kMostInstructions));
  return blocks;
}

template <class Decode>
void decode_page(benchmark::State& state, Decode decode) {
  std::vector<u8> page = code_page();
  size_t instructions = 0;
  for (auto _ : state)
    for (size_t at = 0; at + 64 < page.size(); ++instructions) {
      auto decoded = decode(std::span<const u8>(page).subspan(at, 15));
      at += decoded->length();
      benchmark::DoNotOptimize(decoded);
    }
  count_instructions(state, instructions);
}

void decode(benchmark::State& state) {
  decode_page(state, [](std::span<const u8> at) { return frontend::decode(at, user_mode()); });
}
BENCHMARK(decode);

void decode_known_forms(benchmark::State& state) {
  frontend::DecodeCache cache;
  decode_page(state, [&](std::span<const u8> at) { return cache.decode(at, user_mode()); });
}
BENCHMARK(decode_known_forms);

void translate(benchmark::State& state) {
  size_t instructions = 0;
  for (auto _ : state)
    for (const translator::Block& block : blocks_of_page())
      instructions += block.instructions.size();
  count_instructions(state, instructions);
}
BENCHMARK(translate)->Name("decode_lift_optimise");

void compile(benchmark::State& state) {
  std::vector<translator::Block> blocks = blocks_of_page();
  size_t instructions = 0;
  for (auto _ : state)
    for (const translator::Block& block : blocks) {
      benchmark::DoNotOptimize(jit::compile(block, nullptr));
      instructions += block.instructions.size();
    }
  count_instructions(state, instructions);
}
BENCHMARK(compile)->Name("interpreter_compile");

/// Arg: blocks known. Up to the size of the front array most lookups end there.
void find_block(benchmark::State& state) {
  std::vector<u8> memory(static_cast<size_t>(state.range(0)) * 64);
  jit::BlockCache<jit::CompiledBlock> cache;
  std::vector<jit::BlockKey> keys;
  for (size_t at = 0; at < memory.size(); at += 64) {
    auto block = std::make_unique<jit::CompiledBlock>();
    block->place.key = {&memory[at], user_mode().word};
    block->place.physical = {at};
    keys.push_back(block->place.key);
    cache.insert(std::move(block));
  }
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache.find(keys[next]));
    next = (next + 977) % keys.size();
  }
}
BENCHMARK(find_block)->Arg(1 << 8)->Arg(1 << 13)->Arg(1 << 16);

}  // namespace
}  // namespace penumbra::benchmarks
