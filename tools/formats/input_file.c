#include "tools/formats/input_file.h"

#include "engine/base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

norma_status file_read(memory *account, const char *path, void **bytes, size_t *size, norma_error *error) {
  norma_status status = NORMA_OK;
  char *data = NULL;
  size_t used = 0, room = 0;
  struct stat facts;
  *bytes = NULL;
  *size = 0;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &facts) != 0) {
    status = error_set(error, NORMA_ERROR_FILE, "%s: cannot open: %s", path, strerror(errno));
    goto done;
  }
  room = S_ISREG(facts.st_mode) && facts.st_size >= 0 ? (size_t)facts.st_size + 2 : 65536;
  data = memory_allocate(account, room);
  while (data) {
    if (room - used < 2) {
      char *longer = room > SIZE_MAX / 2 ? NULL : memory_resize(account, data, used, room * 2);
      if (!longer) break;
      data = longer;
      room *= 2;
    }
    ssize_t count = read(file, data + used, room - used - 1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      status = error_set(error, NORMA_ERROR_FILE, "%s: cannot read: %s", path, strerror(errno));
      goto done;
    }
    if (count == 0) {
      data[used] = '\0';
      *bytes = data;
      *size = used;
      data = NULL;
      goto done;
    }
    used += (size_t)count;
  }
  status = memory_error(account, room, error);
  if (error) error_prefix(error, "%s", path);

done:
  memory_free(account, data);
  if (file >= 0) close(file);
  return status;
}
