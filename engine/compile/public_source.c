/* norma_session_write_source. */
#include "engine/base/struct_size.h"
#include "engine/compile/write_source.h"
#include "engine/run/session.h"

#include <ctype.h>

static bool is_identifier(const char *name) {
  if (!name || !(isalpha((unsigned char)*name) || *name == '_')) return false;
  while (isalnum((unsigned char)*name) || *name == '_') name++;
  return *name == '\0';
}

norma_status norma_session_write_source(const norma_session *session, const norma_source_options *given,
                                        norma_write write, void *context, norma_error *error) {
  norma_source_options options;
  if (!session || !write) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a session and a function that takes the bytes are needed");
  }
  TRY(options_take(&options, sizeof options, given, "norma_source_options", error));
  if (!is_identifier(options.name) || strlen(options.name) > 64) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the name must be an identifier of C of at most 64 characters");
  }
  if (!session->current) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "there is no plan: bind the inputs and prepare the session");
  }
  const source_request request = {.model = session->model,
                                  .plan = session->current->plan,
                                  .executor = &session->executor,
                                  .name = options.name,
                                  .spare_bytes = options.spare_bytes,
                                  .write = write,
                                  .write_context = context};
  switch (options.part) {
  case NORMA_SOURCE_DATA:
    return source_write(&request, error);
  case NORMA_SOURCE_HEADER:
    return source_write_header(&request, error);
  case NORMA_SOURCE_MAIN:
    return source_write_main(&request, error);
  }
  return error_set(error, NORMA_ERROR_ARGUMENT, "source part %d does not exist", (int)options.part);
}
