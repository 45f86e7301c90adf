#include "module.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PyObject *text_of(const char *bytes, Py_ssize_t size) {
  return PyUnicode_DecodeUTF8(bytes ? bytes : "", bytes ? size : 0, "surrogateescape");
}

PyObject *text_bytes(PyObject *text) {
  if (PyBytes_Check(text)) {
    Py_INCREF(text);
    return text;
  }
  return PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
}

static PyObject *errors_text(const char *text) {
  return text_of(text, (Py_ssize_t)strlen(text));
}

PyObject *errors_raise(const module_state *state, const norma_error *error) {
  PyObject *result = PyObject_CallFunction(
      state->raise, "iO&O&O&O&LO&", (int)error->status, errors_text, error->message, errors_text, error->node,
      errors_text, error->op_type, errors_text, error->domain, (long long)error->opset, errors_text, error->value);
  Py_XDECREF(result);
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "an error of Norma was not raised");
  return NULL;
}

PyObject *errors_raise_status(const module_state *state, norma_status status, const char *name, const char *format,
                              ...) {
  norma_error error = {.status = status};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error.message, sizeof error.message, format, arguments);
  va_end(arguments);
  if (name) snprintf(error.value, sizeof error.value, "%s", name);
  return errors_raise(state, &error);
}
