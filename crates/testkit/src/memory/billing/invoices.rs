//! Invoices that were finalised, in memory.

use billing::{Invoice, Invoices, invoice::Line};
use kernel::{InvoiceId, PageRequest, StoreError, TenantId};

use crate::memory::MemoryTx;

impl MemoryTx {
    fn own_invoice(&self, tenant_id: TenantId, id: InvoiceId) -> Option<&Invoice> {
        let invoice = self.tables.billing.invoices.get(&(tenant_id, id));
        invoice.filter(|_| self.sees(tenant_id))
    }
}

fn without_lines(invoice: &Invoice) -> Invoice {
    Invoice {
        lines: Vec::new(),
        ..invoice.clone()
    }
}

impl Invoices for MemoryTx {
    fn invoices(
        &mut self,
        tenant_id: TenantId,
        page: &PageRequest,
        after: Option<InvoiceId>,
    ) -> Result<Vec<Invoice>, StoreError> {
        let newest_first = self.tables.billing.invoices.iter().rev();
        Ok(newest_first
            .filter(|((tenant, _), _)| *tenant == tenant_id && self.sees(tenant_id))
            .filter(|((_, id), _)| after.is_none_or(|after| *id < after))
            .take(page.limit as usize + 1)
            .map(|(_, invoice)| without_lines(invoice))
            .collect())
    }

    fn invoice(
        &mut self,
        tenant_id: TenantId,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        Ok(self.own_invoice(tenant_id, id).map(without_lines))
    }

    fn invoice_lines(
        &mut self,
        tenant_id: TenantId,
        id: InvoiceId,
    ) -> Result<Vec<Line>, StoreError> {
        let invoice = self.own_invoice(tenant_id, id);
        Ok(invoice.map_or_else(Vec::new, |invoice| invoice.lines.clone()))
    }
}
