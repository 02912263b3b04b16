.PHONY: lint format
lint: $(BUILD)/libike.a ## layout, dependency directions, sizes, banned functions
	@mk/lint.sh $(BUILD)

format: ## let clang-format lay out every C file
	@git ls-files '*.c' '*.h' | xargs -r clang-format -i
