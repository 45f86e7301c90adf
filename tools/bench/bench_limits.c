/* bench_limits [THREADS]: prints one JSON object with what this machine can do on so many threads (default 1). */
#include "ops/kernels/kernel_table.h"
#include "tools/bench/machine_limits.h"
#include "tools/options.h"
#include "tools/report.h"

#include <stdio.h>

int main(int argc, char **argv) {
  int64_t threads = 1;
  if (argc > 2 || (argc == 2 && !parse_integer(argv[1], 1, 256, &threads))) {
    fprintf(stderr, "usage: bench_limits [THREADS]\n");
    return EXIT_REFUSED;
  }
  const struct kernel_table *table = kernel_table_default();
  printf("{\"kernels\": \"%s\", \"threads\": %d, \"multiply_add_gflops\": %.2f, \"read_gb_s\": %.2f, \"copy_gb_s\": "
         "%.2f}\n",
         table->name, (int)threads, limits_multiply_add(table->name, (int)threads) * 1e-9,
         limits_read((int)threads) * 1e-9, limits_copy((int)threads) * 1e-9);
  return EXIT_YES;
}
