/* bench_limits [THREADS]: prints one JSON object with what this machine can do on so many threads (default 1). */
#include "engine/norma.h"
#include "tools/bench/machine_limits.h"
#include "tools/options.h"
#include "tools/report.h"

#include <stdio.h>

static const char *default_table(void) {
  norma_kernel_table_info info = {.struct_size = sizeof info};
  for (size_t i = 0; norma_kernel_table(i, &info) == NORMA_OK; i++) {
    if (info.is_default) return info.name;
  }
  return "";
}

int main(int argc, char **argv) {
  int64_t threads = 1;
  if (argc > 2 || (argc == 2 && !parse_integer(argv[1], 1, 256, &threads))) {
    fprintf(stderr, "usage: bench_limits [THREADS]\n");
    return EXIT_REFUSED;
  }
  const char *table = default_table();
  printf("{\"kernels\": \"%s\", \"threads\": %d, \"multiply_add_gflops\": %.2f, \"read_gb_s\": %.2f, \"copy_gb_s\": "
         "%.2f}\n",
         table, (int)threads, limits_multiply_add(table, (int)threads) * 1e-9, limits_read((int)threads) * 1e-9,
         limits_copy((int)threads) * 1e-9);
  return EXIT_YES;
}
