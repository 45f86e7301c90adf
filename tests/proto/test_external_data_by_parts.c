/* The tests of external data on a system without openat2: the file is compiled again as it is there, and its functions
 * take the place of the library's. */
#include <sys/syscall.h>
#undef SYS_openat2

#include "proto/external_data.c"

#include "tests/proto/test_external_data.c"
