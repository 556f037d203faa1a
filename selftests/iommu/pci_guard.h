/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests that change the driver of a PCI device or unplug it, and a guard around
 * them: whatever becomes of the test, the devices get back what they had.
 */
#ifndef __SELFTEST_PCI_GUARD_H
#define __SELFTEST_PCI_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define PCI_GUARD_MAX	16

/**
 * pci_driver() - Which driver a device is bound to
 * @bdf: the device
 * @name: filled, "" if there is none
 * @size: of @name
 */
void pci_driver(const char *bdf, char *name, size_t size);

/**
 * pci_bind() - Bind a device to another driver
 * @bdf: the device
 * @driver: its name, or NULL for the one that the kernel has for the device
 *
 * Return: 0, -errno, or -ENODEV if the device has no driver afterwards.
 */
int pci_bind(const char *bdf, const char *driver);

/**
 * pci_remove() - Unplug a device, as far as the kernel can see
 * @bdf: the device
 *
 * Waits until nobody has it open.
 *
 * Return: 0 or -errno.
 */
int pci_remove(const char *bdf);

/**
 * pci_rescan() - Plug in what was unplugged
 *
 * Return: 0 or -errno.
 */
int pci_rescan(void);

/**
 * pci_get_reset_method() - How the kernel resets a device
 * @bdf: the device
 * @text: filled with the line that it has in sysfs
 * @size: of @text
 */
void pci_get_reset_method(const char *bdf, char *text, size_t size);

/**
 * pci_set_reset_method() - Have it reset in this way
 * @bdf: the device, which forgets it when it is unplugged
 * @text: from pci_get_reset_method()
 */
void pci_set_reset_method(const char *bdf, const char *text);

/**
 * pci_guard_run() - Run tests, then give devices back what they had
 * @bdf: the devices
 * @nr: how many
 * @run: what runs the tests, as main(); in a process of its own
 * @argc: for @run
 * @argv: for @run
 *
 * The devices get back driver, driver_override and reset_method, unplugged ones
 * come back first. SIGINT, SIGTERM and SIGHUP end the tests, not the guard.
 *
 * Return: exit status of @run, KSFT_FAIL if a device could not be restored.
 */
int pci_guard_run(const char * const bdf[], unsigned int nr, int (*run)(int argc, char **argv),
		  int argc, char **argv);

/**
 * pci_guard_test() - Tell the guard which process group it has to end
 *
 * To be called in the set-up of a test: the harness puts each into a group of its
 * own, which a signal to the program does not reach.
 */
void pci_guard_test(void);

#endif
