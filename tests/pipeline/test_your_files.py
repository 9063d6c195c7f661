"""The example of docs/your-files.md does what the page says."""

import re
from pathlib import Path

from pipeline_runs import Project

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your-files.md"
CUSTOMERS = (
    "Kundenliste\n\nKundennummer;Vorname;Nachname;E-Mail;phone;address;Registration Date\n"
    '="007";J\u00f6rg;Gro\u00df;a@b.de;+49 30 901820;Weg 1;03.02.2022\n'
)


def test_the_example_of_the_page_loads_a_file_from_excel(tmp_path: Path) -> None:
    project = Project(tmp_path, PIPELINE_FILE=str(tmp_path / "pipeline.toml"))
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    example = example.replace("rename = {", 'rename = { "E-Mail" = "email",')
    (tmp_path / "pipeline.toml").write_text(example, encoding="utf-8")
    (project.input / "kunden_1.csv").write_text(CUSTOMERS, encoding="cp1252")
    summary = project.run()
    customers = next(each for each in summary["sources"] if each["source"] == "customers")
    assert customers["status"] == "loaded", customers
    assert {"cp1252", "semicolons"} < set(customers["found"])
    found = project.query(
        "SELECT customer_id, last_name, phone_valid, source_segment,"
        " CAST(registration_date AS TEXT) FROM customer_dim WHERE is_inferred = FALSE"
    )
    assert found == [("007", "Gro\u00df", True, "Standard", "2022-02-03")]
